"""Enforcement levels of findings, by the pack's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from policy.finding import Finding, Verdict
from policy.rule import Rule, Severity


class Level(StrEnum):
    """Pulumi's enforcement levels."""

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
_LEVEL = {"type": "string", "enum": [str(level) for level in Level]}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "default": {},
    "additionalProperties": False,
    "description": "Enforcement level by severity or by rule; the others keep their default.",
    "properties": {str(severity): _LEVEL for severity in Severity},
    "patternProperties": {"^PGTLS-": _LEVEL},
}


@dataclass(frozen=True, kw_only=True)
class Enforcement:
    """The configured levels of severities and of single rules. A rule's own level has precedence."""

    of_severities: Mapping[Severity, Level] = field(default_factory=lambda: DEFAULT)
    of_rules: Mapping[str, Level] = field(default_factory=dict)

    def level_of(self, rule: Rule, sent: Mapping[str, Level], own_severity: Severity | None = None) -> Level:
        """The level of one rule: its own, else the one that the engine sent, else that of the severity.

        The severity is the rule's, or a finding's own.

        The engine sends a level for every rule: the default where its configuration does not name the rule.
        So the default counts as not sent.
        """
        if rule.id in self.of_rules:
            return self.of_rules[rule.id]
        default = DEFAULT[rule.severity]
        own = sent.get(rule.id, default)
        return self.of_severities[own_severity or rule.severity] if own is default else own


def read(given: Any, rules: Iterable[str]) -> tuple[Enforcement, list[str]]:
    """The enforcement in a configuration, and what is wrong with it. A wrong entry keeps its default."""
    if not isinstance(given, Mapping):
        return Enforcement(), ["enforcement must be an object"]
    known = set(rules)
    severities, of_rules, problems = dict(DEFAULT), {}, []
    for name, value in given.items():
        if name not in known and name not in tuple(Severity):
            problems.append(f"enforcement: unknown key {name!r}; expected a severity or a rule")
        elif value not in tuple(Level):
            problems.append(f"enforcement.{name} is {value!r}; expected one of {', '.join(Level)}")
        elif name in known:
            of_rules[name] = Level(value)
        else:
            severities[Severity(name)] = Level(value)
    return Enforcement(of_severities=severities, of_rules=of_rules), problems


def level_of_finding(finding: Finding, level: Level) -> Level:
    """The level of a finding: the configured one for a violation and for a crash, else advisory."""
    is_proven = finding.verdict in (Verdict.VIOLATED, Verdict.CRASHED)
    return level if is_proven or level is Level.DISABLED else Level.ADVISORY
