"""What follows from a finding, as the pack's configuration says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
_LEVEL = {"type": "string", "enum": [str(level) for level in Level]}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "default": {},
    "additionalProperties": False,
    "description": "What a violation of each severity, or of one rule, does; the rest stays as it is.",
    "properties": {str(severity): _LEVEL for severity in Severity},
    "patternProperties": {"^PGTLS-": _LEVEL},
}


@dataclass(frozen=True, kw_only=True)
class Enforcement:
    """What the configuration says of severities, and of single rules, which goes before that."""

    of_severities: Mapping[Severity, Level] = field(default_factory=lambda: DEFAULT)
    of_rules: Mapping[str, Level] = field(default_factory=dict)

    def level_of(self, rule: Rule, sent: Mapping[str, Level]) -> Level:
        """The level of one rule: its own, else what the engine sent for it, else that of its severity.

        The engine sends a level for every rule, the default for those that the configuration does not
        name; so a level that is sent and is the default says nothing.
        """
        if rule.id in self.of_rules:
            return self.of_rules[rule.id]
        default = DEFAULT[rule.severity]
        own = sent.get(rule.id, default)
        return self.of_severities[rule.severity] if own is default else own


def read(given: Any, rules: Iterable[str]) -> tuple[Enforcement, list[str]]:
    """What was given, and what is wrong with it; that stays at its default."""
    if not isinstance(given, Mapping):
        return Enforcement(), ["enforcement is not an object"]
    known = set(rules)
    severities, of_rules, problems = dict(DEFAULT), {}, []
    for name, value in given.items():
        if name not in known and name not in tuple(Severity):
            problems.append(f"enforcement: there is no severity and no rule {name!r}")
        elif value not in tuple(Level):
            problems.append(f"enforcement.{name}: {value!r} is not one of {', '.join(Level)}")
        elif name in known:
            of_rules[name] = Level(value)
        else:
            severities[Severity(name)] = Level(value)
    return Enforcement(of_severities=severities, of_rules=of_rules), problems


def level_of_finding(finding: Finding, level: Level) -> Level:
    """A violation has its rule's level, and so has a crash; the rest is there to be read."""
    return level if finding.verdict in (Verdict.VIOLATED, Verdict.CRASHED) else Level.ADVISORY
