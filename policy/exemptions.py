"""Exemptions: one rule, one resource, a reason, an owner and a last day, from the pack's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from policy.resources import Resource

SHORTEST_REASON = 20
SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "default": [],
    "description": "Findings that are accepted until a day; an expired exemption is a violation.",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["rule", "resource", "reason", "owner", "expires"],
        "properties": {
            "rule": {"type": "string", "description": "Id of the rule."},
            "resource": {"type": "string", "description": "URN, or type token and name: `type::name`."},
            "reason": {"type": "string", "minLength": SHORTEST_REASON},
            "owner": {"type": "string", "minLength": 1},
            "expires": {"type": "string", "description": "Last day on which it holds, as 2027-01-31."},
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """One resource is exempt from one rule.

    Attributes:
        rule: Id of the rule.
        resource: URN, or type token and name as `type::name`.
        reason: Why the finding is accepted.
        owner: Who accepted it.
        expires: The last day on which it holds.
    """

    rule: str
    resource: str
    reason: str
    owner: str
    expires: date

    def __str__(self) -> str:
        """Reason, owner and last day, for a message."""
        return f"{self.reason} ({self.owner}, until {self.expires})"

    def names(self, resource: Resource) -> bool:
        """Whether it names this resource."""
        return self.resource in (resource.urn, f"{resource.declared}::{resource.name}")

    def has_expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > self.expires


def read(entries: Any, rules: Iterable[str]) -> tuple[list[Exemption], list[str]]:
    """The valid exemptions of a configuration, and what is wrong with the other entries."""
    known, exemptions, problems = set(rules), [], []
    if not isinstance(entries, list):
        return [], ["exemptions must be a list"]
    for number, entry in enumerate(entries):
        wrong = _problems(entry, known)
        problems += [f"exemptions[{number}]: {each}" for each in wrong]
        if not wrong:
            exemptions.append(Exemption(**{**entry, "expires": date.fromisoformat(entry["expires"])}))
    return exemptions, problems


def _problems(entry: Any, rules: set[str]) -> list[str]:
    if not isinstance(entry, Mapping):
        return ["must be an object"]
    required = set(SCHEMA["items"]["required"])
    problems = [f"{name} is missing" for name in sorted(required - set(entry))]
    problems += [f"unknown key {name}" for name in sorted(set(entry) - required)]
    problems += [
        f"{name} must be a string"
        for name in sorted(required & set(entry))
        if not isinstance(entry[name], str)
    ]
    if problems:
        return problems
    if entry["rule"] not in rules:
        problems.append(f"there is no rule {entry['rule']!r}")
    if len(entry["reason"].strip()) < SHORTEST_REASON:
        problems.append(f"the reason must have at least {SHORTEST_REASON} characters")
    if not entry["owner"].strip():
        problems.append("the owner is empty")
    try:
        date.fromisoformat(entry["expires"])
    except ValueError:
        problems.append(f"expires: {entry['expires']!r} is not a date such as 2027-01-31")
    return problems
