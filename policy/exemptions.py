"""Exemptions: a rule or a severity, where it does not count, how far, why, who says so, and until when.

There is no other way to weaken the pack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from policy.enforcement import Level
from policy.resources import Resource
from policy.rule import Severity

SHORTEST_REASON = 20
LONGEST_DAYS = 400
ANNOUNCED_DAYS = 30
EVERYWHERE = "*"
_TARGETS = ("rule", "severity")
_REQUIRED = ("scope", "reason", "owner", "expires")
_LEVELS = (Level.ADVISORY, Level.DISABLED)
SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "default": [],
    "description": "Findings that are accepted until a day; an expired exemption is a violation.",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": list(_REQUIRED),
        "properties": {
            "rule": {"type": "string", "description": "Id of the rule; else `severity`."},
            "severity": {"type": "string", "enum": [str(each) for each in Severity]},
            "scope": {
                "type": "string",
                "minLength": 1,
                "description": "URN, `type::name`, a type token for each resource of it, or `*` for all.",
            },
            "level": {
                "type": "string",
                "enum": [str(each) for each in _LEVELS],
                "description": "`advisory`, the default, lists what is found; `disabled` does not.",
            },
            "reason": {
                "type": "string",
                "minLength": SHORTEST_REASON,
                "description": f"Why it is accepted, in at least {SHORTEST_REASON} characters.",
            },
            "owner": {"type": "string", "minLength": 1, "description": "Who accepts it."},
            "expires": {
                "type": "string",
                "description": f"Last day (UTC), as 2027-01-31; at most {LONGEST_DAYS} days ahead.",
            },
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """Violations of a rule, or of all rules of a severity, are accepted.

    Attributes:
        rule: Id of the rule; empty where it is about a severity.
        severity: The severity; None where it is about a rule.
        scope: URN, `type::name`, a type token, or `*` for every resource.
        level: `advisory`: what is found is listed. `disabled`: it is not, nor is what is undecided.
        reason: Why the findings are accepted.
        owner: Who accepted them.
        expires: The last day on which it holds, in UTC.
    """

    rule: str = ""
    severity: Severity | None = None
    scope: str
    level: Level = Level.ADVISORY
    reason: str
    owner: str
    expires: date

    def __str__(self) -> str:
        """Reason, owner and last day, for a message."""
        return f"{self.reason} ({self.owner}, until {self.expires})"

    @property
    def named(self) -> str:
        """What it exempts, for a message about itself."""
        target = self.rule or f"the severity {self.severity}"
        return f"the exemption of {self.scope} from {target} by {self.owner}"

    def covers(self, rule: str, severity: Severity, resource: Resource) -> bool:
        """Whether it is about a finding of this rule and severity in this resource."""
        return (rule == self.rule or severity is self.severity) and self.names(resource)

    def names(self, resource: Resource) -> bool:
        """Whether the resource is in its scope."""
        token = resource.declared
        return self.scope in (EVERYWHERE, token, resource.type, resource.urn, f"{token}::{resource.name}")

    def has_expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > self.expires

    def ends_soon(self, today: date) -> bool:
        """Whether its last day is near, and not over."""
        return 0 <= (self.expires - today).days <= ANNOUNCED_DAYS


def read(entries: Any, rules: Iterable[str], today: date) -> tuple[list[Exemption], list[str]]:
    """The valid exemptions of a configuration, and what is wrong with the other entries."""
    known, exemptions, problems = set(rules), [], []
    if not isinstance(entries, list):
        return [], ["exemptions must be a list"]
    for number, entry in enumerate(entries):
        wrong = _problems(entry, known, today)
        problems += [f"exemptions[{number}]: {each}" for each in wrong]
        if not wrong:
            exemptions.append(_exemption(**entry))
    return exemptions, problems


def _exemption(*, severity: str = "", level: str = Level.ADVISORY, expires: str, **given: str) -> Exemption:
    return Exemption(
        severity=Severity(severity) if severity else None,
        level=Level(level),
        expires=date.fromisoformat(expires),
        **given,
    )


def _problems(entry: Any, rules: set[str], today: date) -> list[str]:
    if not isinstance(entry, Mapping):
        return ["must be an object"]
    properties = SCHEMA["items"]["properties"]
    problems = [f"{name} is missing" for name in _REQUIRED if name not in entry]
    problems += [
        f"unknown key {name}; expected {', '.join(properties)}"
        for name in sorted(set(entry) - set(properties))
    ]
    problems += [
        f"{name} must be a string"
        for name in entry
        if name in properties and not isinstance(entry[name], str)
    ]
    if sum(name in entry for name in _TARGETS) != 1:
        problems.append("it must have either rule or severity")
    return problems or [*_wrong_values(entry, rules), *_wrong_end(entry["expires"], today)]


def _wrong_values(entry: Mapping[str, str], rules: set[str]) -> list[str]:
    problems = []
    if "rule" in entry and entry["rule"] not in rules:
        problems.append(f"there is no rule {entry['rule']!r} in this pack")
    for name, allowed in (("severity", tuple(Severity)), ("level", _LEVELS)):
        if entry.get(name, allowed[0]) not in allowed:
            problems.append(f"{name} is {entry[name]!r}; expected one of {', '.join(allowed)}")
    if (length := len(entry["reason"].strip())) < SHORTEST_REASON:
        problems.append(f"the reason has {length} characters; it must have at least {SHORTEST_REASON}")
    problems += [f"{name} is empty" for name in ("scope", "owner") if not entry[name].strip()]
    return problems


def _wrong_end(text: str, today: date) -> list[str]:
    try:
        end = date.fromisoformat(text)
    except ValueError:
        end = None
    if end is None or str(end) != text:
        return [f"expires: {text!r} is not a date such as 2027-01-31"]
    latest = today + timedelta(days=LONGEST_DAYS)
    if end > latest:
        return [f"expires: {text} is more than {LONGEST_DAYS} days ahead; the latest is {latest}"]
    return []
