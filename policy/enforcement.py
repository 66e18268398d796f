"""Enforcement levels of rules: their default by severity, and what a configuration raises.

Only an exemption lowers a level, because that needs a reason, an owner and an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from policy.rule import Rule, Severity


class Level(StrEnum):
    """Pulumi's enforcement levels, the weakest first."""

    DISABLED = "disabled"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"

    def is_weaker_than(self, other: Level) -> bool:
        """Whether it stops or shows less than another one."""
        levels = list(Level)
        return levels.index(self) < levels.index(other)


DEFAULT: Mapping[Severity, Level] = MappingProxyType(
    {
        Severity.CRITICAL: Level.MANDATORY,
        Severity.HIGH: Level.MANDATORY,
        Severity.MEDIUM: Level.ADVISORY,
        Severity.LOW: Level.ADVISORY,
    }
)
INSTEAD = (
    "an entry in exemptions lowers a level, with rule or severity, scope, level, reason, owner and expires"
)
"""What to do instead of lowering a level."""
# A lower level passes the engine's validation, so that the pack can say what to do instead.
_LEVEL = {"type": "string", "enum": [str(level) for level in Level]}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "default": {},
    "additionalProperties": False,
    "description": "Higher enforcement levels by severity or by rule; the others keep their default.",
    "properties": {str(severity): _LEVEL for severity in Severity},
    "patternProperties": {"^PGTLS-": _LEVEL},
}
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Enforcement:
    """The levels of severities and of single rules. A rule's own level has precedence."""

    of_severities: Mapping[Severity, Level] = field(default_factory=lambda: DEFAULT)
    of_rules: Mapping[str, Level] = field(default_factory=dict)

    def level_of(self, rule: Rule, severity: Severity) -> Level:
        """The level of a violation of a rule with the rule's severity, or with a finding's own."""
        return self.of_rules.get(rule.id) or self.of_severities[severity]


def read(
    given: Any, sent: Mapping[str, Level], defaults: Mapping[str, Level]
) -> tuple[Enforcement, list[str]]:
    """The levels in a configuration, and what is wrong with it. A wrong entry keeps its default.

    Args:
        given: The section `enforcement` of the pack's own configuration, which has precedence.
        sent: The levels that the engine sends: the default of each rule that its keys do not name.
        defaults: The default of each policy of the pack.
    """
    of_rules = {
        name: level
        for name, level in sent.items()
        if name in defaults and defaults[name].is_weaker_than(level)
    }
    problems = _lowered(sent, defaults)
    if not isinstance(given, Mapping):
        return Enforcement(of_rules=of_rules), [*problems, "enforcement must be an object"]
    severities = dict(DEFAULT)
    for name, value in given.items():
        default = DEFAULT[Severity(name)] if name in tuple(Severity) else defaults.get(name)
        if default is None:
            problems.append(f"enforcement: unknown key {name!r}; expected a severity or a rule of this pack")
        elif value not in tuple(Level):
            problems.append(f"enforcement.{name} is {value!r}; expected one of {', '.join(_LEVEL['enum'])}")
        elif Level(value).is_weaker_than(default):
            problems.append(f"enforcement.{name} is {value!r}, and its default {str(default)!r}; {INSTEAD}")
        elif name in defaults:
            of_rules[name] = Level(value)
        else:
            severities[Severity(name)] = Level(value)
    return Enforcement(of_severities=severities, of_rules=of_rules), problems


def _lowered(sent: Mapping[str, Level], defaults: Mapping[str, Level]) -> list[str]:
    """What the engine's keys lower, which has no effect, in one line for each level."""
    lowered: dict[Level, list[str]] = {}
    for name, level in sorted(sent.items()):
        if level.is_weaker_than(defaults.get(name, Level.DISABLED)):
            lowered.setdefault(level, []).append(name)
    return [
        f"the engine's keys set {_names(names)} to {str(level)!r}, which is less than the default; {INSTEAD}"
        for level, names in lowered.items()
    ]


def _names(names: list[str]) -> str:
    """The names, or how many they are where they would fill the line."""
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} policies"
