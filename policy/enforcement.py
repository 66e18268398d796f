"""What follows from a finding, as the pack's configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from policy.finding import Finding, Verdict
from policy.rule import Rule, Severity


class Level(StrEnum):
    """Whether a finding stops the deployment, as Pulumi spells it."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"
    DISABLED = "disabled"


DEFAULT: Mapping[Severity, Level] = MappingProxyType(
    {
        Severity.CRITICAL: Level.MANDATORY,
        Severity.HIGH: Level.MANDATORY,
        Severity.MEDIUM: Level.ADVISORY,
        Severity.LOW: Level.ADVISORY,
    }
)
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "default": {},
    "additionalProperties": False,
    "description": "What a violation of each severity does; what is not given stays as it is.",
    "properties": {
        str(severity): {"type": "string", "enum": [str(level) for level in Level]} for severity in Severity
    },
}


def read(given: Any) -> tuple[Mapping[Severity, Level], list[str]]:
    """The level of each severity, and what is wrong with what was given; that stays at its default."""
    if not isinstance(given, Mapping):
        return DEFAULT, ["enforcement is not an object"]
    levels, problems = dict(DEFAULT), []
    for name, value in given.items():
        if name not in tuple(Severity):
            problems.append(f"enforcement: there is no severity {name!r}")
        elif value not in tuple(Level):
            problems.append(f"enforcement.{name}: {value!r} is not one of {', '.join(Level)}")
        else:
            levels[Severity(name)] = Level(value)
    return levels, problems


def level_of(rule: Rule, by_severity: Mapping[Severity, Level], of_rules: Mapping[str, Level]) -> Level:
    """The level of one rule: its own where it differs from the default, else that of its severity.

    The engine sends a level for every rule, its default for those that the configuration does not name.
    """
    own = of_rules.get(rule.id, DEFAULT[rule.severity])
    return by_severity[rule.severity] if own is DEFAULT[rule.severity] else own


def level_of_finding(finding: Finding, level: Level) -> Level:
    """A violation has its rule's level, and so has a crash; the rest is there to be read."""
    return level if finding.verdict in (Verdict.VIOLATED, Verdict.CRASHED) else Level.ADVISORY
