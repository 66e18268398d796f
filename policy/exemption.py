"""Exemptions: one rule, one resource, a reason, an owner and a last day, from the pack's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from policy.finding import Finding, Verdict
from policy.registered import Resource

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
    """One exemption; `expires` is the last day on which it holds."""

    rule: str
    resource: str
    reason: str
    owner: str
    expires: date

    def is_about(self, finding: Finding) -> bool:
        """Whether it names this rule and this resource."""
        return self.rule == finding.rule.id and self.names(finding.resource)

    def names(self, resource: Resource) -> bool:
        """Whether it names this resource."""
        return self.resource in (resource.urn, f"{resource.type}::{resource.name}")

    def has_expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > self.expires


def read(entries: Any, rules: Iterable[str]) -> tuple[list[Exemption], list[str]]:
    """The exemptions of a configuration, and what is wrong with the others.

    A wrong one exempts nothing.
    """
    known, exemptions, problems = set(rules), [], []
    if not isinstance(entries, list):
        return [], ["exemptions is not a list"]
    for number, entry in enumerate(entries):
        place = f"exemptions[{number}]"
        wrong = _problems(entry, known)
        problems += [f"{place}: {each}" for each in wrong]
        if not wrong:
            exemptions.append(Exemption(**{**entry, "expires": date.fromisoformat(entry["expires"])}))
    return exemptions, problems


def _problems(entry: Any, rules: set[str]) -> list[str]:
    if not isinstance(entry, Mapping):
        return ["not an object"]
    wanted = set(SCHEMA["items"]["required"])
    problems = [f"{name} is missing" for name in sorted(wanted - set(entry))]
    problems += [f"{name} is not known" for name in sorted(set(entry) - wanted)]
    problems += [f"{name} is not a text" for name in wanted & set(entry) if not isinstance(entry[name], str)]
    if problems:
        return problems
    if entry["rule"] not in rules:
        problems.append(f"there is no rule {entry['rule']!r}")
    if len(entry["reason"].strip()) < SHORTEST_REASON:
        problems.append(f"the reason has fewer than {SHORTEST_REASON} characters")
    if not entry["owner"].strip():
        problems.append("the owner is empty")
    try:
        date.fromisoformat(entry["expires"])
    except ValueError:
        problems.append(f"expires: {entry['expires']!r} is no day such as 2027-01-31")
    return problems


def applied(findings: Iterable[Finding], exemptions: Sequence[Exemption], today: date) -> list[Finding]:
    """The findings, those that an exemption covers marked as exempt.

    Only violations can be exempt: what is undecided or crashed has not been looked at yet.
    """
    result = []
    for finding in findings:
        covering = next((each for each in exemptions if each.is_about(finding)), None)
        if covering is None or finding.verdict is not Verdict.VIOLATED:
            result.append(finding)
        elif covering.has_expired(today):
            expired = f"{finding.detail}; its exemption by {covering.owner} expired on {covering.expires}"
            result.append(replace(finding, detail=expired))
        else:
            text = f"{covering.reason} ({covering.owner}, until {covering.expires})"
            result.append(replace(finding, verdict=Verdict.EXEMPT, exemption=text))
    return result
