"""The pack: rules with a configuration of enforcement levels and exemptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

from policy import coverage, enforcement, engine_run, evaluation, exemptions, owned
from policy.enforcement import DEFAULT, Enforcement, Level
from policy.exemptions import Exemption
from policy.finding import Finding, Verdict
from policy.owned import Owned
from policy.resources import Resource, Stack
from policy.rule import ANY, Rule

NAME = "passwordless-postgres"
CONFIGURATION = "PGTLS-configuration"
"""The policy that takes the pack's own configuration, and that reports mistakes in it."""

COVERAGE = "PGTLS-coverage"
"""The policy that counts what no rule reads."""

UNDECIDED = "PGTLS-undecided"
"""The policy that reports what rules cannot decide yet."""

# The engine sends every key of the configuration; `all` is its own.
_OF_THE_ENGINE = "all"
OWN: Mapping[str, Level] = MappingProxyType(
    {CONFIGURATION: Level.MANDATORY, COVERAGE: Level.ADVISORY, UNDECIDED: Level.ADVISORY}
)
"""The policies that are no rules, with their default level."""

ABOUT: Mapping[str, str] = MappingProxyType(
    {
        CONFIGURATION: "The pack's configuration is valid, and every exemption is in use",
        COVERAGE: "Every resource of a cloud is of a type that a rule reads",
        UNDECIDED: "Every rule can be decided",
    }
)
"""What these policies require."""

PROPERTIES: Mapping[str, Any] = {
    "enforcement": enforcement.SCHEMA,
    "exemptions": exemptions.SCHEMA,
    **owned.SCHEMAS,
}


def today() -> date:
    """Today's date in UTC."""
    return datetime.now(tz=UTC).date()


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A finding with its enforcement level."""

    finding: Finding
    level: Level


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What is to be said of the pack's own configuration, with its enforcement level."""

    text: str
    level: Level = Level.MANDATORY


@dataclass(kw_only=True)
class Pack:
    """Rules with a configuration.

    Attributes:
        rules: The rules.
        clock: Returns today's date in UTC.
        is_whole: Returns whether the engine works on all resources; see `policy.engine_run`.
        enforcement: The levels of rules.
        exemptions: The configured exemptions.
        owned: The configured accounts and organisations.
        mistakes: What is wrong with the configuration.
        looked_at: URNs of the resources that were analyzed since the last stack.
        applied: Rules by resource type, as a cache.
        needed: The exemptions that are about a finding since the last stack.
    """

    rules: tuple[Rule, ...]
    clock: Callable[[], date] = today
    is_whole: Callable[[], bool] = engine_run.works_on_everything
    enforcement: Enforcement = field(default_factory=Enforcement)
    exemptions: list[Exemption] = field(default_factory=list)
    owned: Owned = field(default_factory=Owned)
    mistakes: list[str] = field(default_factory=list)
    looked_at: set[str] = field(default_factory=set)
    applied: dict[str, list[Rule]] = field(default_factory=dict, repr=False)
    needed: set[Exemption] = field(default_factory=set)

    def configure(self, sent: Mapping[str, Level], properties: Mapping[str, Any]) -> None:
        """Take a configuration. Mistakes in it have no effect, and are reported with the stack.

        Args:
            sent: Levels by rule, as the engine sends them.
            properties: The pack's own configuration.
        """
        names = {rule.id for rule in self.rules}
        defaults = {rule.id: DEFAULT[rule.severity] for rule in self.rules}
        self.enforcement, wrong_levels = enforcement.read(
            properties.get("enforcement", {}), sent, {**defaults, **OWN}
        )
        self.exemptions, wrong_exemptions = exemptions.read(
            properties.get("exemptions", []), names, self.clock()
        )
        self.owned, wrong_owned = owned.read(properties)
        unknown = [f"unknown key {name!r}" for name in properties if name not in PROPERTIES]
        unknown += [
            f"{name!r} is no rule of this pack" for name in sent if name not in (*names, *OWN, _OF_THE_ENGINE)
        ]
        self.mistakes = [*unknown, *wrong_levels, *wrong_exemptions, *wrong_owned]

    def of_resource(self, resource: Resource) -> list[Reported]:
        """The findings in one resource."""
        self.looked_at.add(resource.urn)
        seen = replace(resource, owned=self.owned)
        return self._reported(evaluation.of_resource(self._about(resource.type), seen))

    def of_stack(self, stack: Stack) -> list[Reported]:
        """The findings in all resources together."""
        return self._reported(evaluation.of_stack(self.rules, stack))

    def unjudged(self, stack: Stack) -> str:
        """What no rule reads in a stack, as one line; empty where there is nothing.

        Call it after the stack was analyzed.
        """
        about = {token for rule in self.rules for token in rule.types} - {ANY}
        return coverage.unjudged(stack, about)

    def level_of(self, own: str) -> Level:
        """The level of one of the policies that are no rules."""
        return self.enforcement.of_rules.get(own, OWN[own])

    def notices(self, stack: Stack) -> list[Notice]:
        """Mistakes in the configuration, and exemptions that have expired, end soon, or are not needed.

        Call it last, after every resource and the stack were analyzed. Whether an exemption is needed is said
        of a run of all resources alone.
        """
        day = self.clock()
        found = [Notice(text=each) for each in self.mistakes]
        for each in self.exemptions:
            if each.has_expired(day):
                text = f"{each.named} expired on {each.expires}: fix the violation, or extend the exemption"
                found.append(Notice(text=text))
            elif each.ends_soon(day):
                days = (each.expires - day).days
                text = f"{each.named} ends in {days} days, on {each.expires}: fix the violation before"
                found.append(Notice(text=text, level=Level.ADVISORY))
        if self.is_whole():
            found += [
                Notice(text=text) for each in self.exemptions if (text := self._unneeded(each, stack, day))
            ]
        self.looked_at.clear()
        self.needed.clear()
        return found

    def _unneeded(self, exempt: Exemption, stack: Stack, day: date) -> str:
        """What is wrong with an exemption that is about no finding; empty where that is not known."""
        named = [each for each in stack.resources if exempt.names(each)]
        if not named:
            return (
                f"{exempt.named} matches no resource of the stack: remove it, or set scope to a URN, to "
                "`type::name`, to a type token or to `*`"
            )
        of_stack = all(not rule.checks for rule in self.rules if rule.id == exempt.rule)
        applied = (exempt.rule and of_stack) or any(each.urn in self.looked_at for each in named)
        if not applied or exempt in self.needed or exempt.has_expired(day):
            return ""
        return f"{exempt.named} is not needed: nothing is found there; remove it"

    def _about(self, token: str) -> list[Rule]:
        if token not in self.applied:
            self.applied[token] = [rule for rule in self.rules if rule.is_about(token)]
        return self.applied[token]

    def _reported(self, findings: Iterable[Finding]) -> list[Reported]:
        reported = (Reported(finding=each, level=self._level(each)) for each in map(self._exempted, findings))
        return [each for each in reported if each.level is not Level.DISABLED]

    def _level(self, finding: Finding) -> Level:
        if finding.exemption is not None:
            return finding.exemption.level
        if finding.verdict is Verdict.UNDECIDED:
            return self.level_of(UNDECIDED)
        return self.enforcement.level_of(finding.rule, finding.severity)

    def _exempted(self, finding: Finding) -> Finding:
        """The finding, marked as exempt where an exemption covers it.

        One that lists what is found is about violations alone: what is undecided or crashed has not been
        examined yet.
        """
        if not self.exemptions:
            return finding
        covering = [
            each
            for each in self.exemptions
            if each.covers(finding.rule.id, finding.severity, finding.resource)
        ]
        self.needed.update(covering)
        day = self.clock()
        valid = [each for each in covering if not each.has_expired(day)]
        hiding = next((each for each in valid if each.level is Level.DISABLED), None)
        if hiding is not None:
            return replace(finding, verdict=Verdict.EXEMPT, exemption=hiding)
        if not covering or finding.verdict is not Verdict.VIOLATED:
            return finding
        if not valid:
            expired = f"its exemption by {covering[0].owner} expired on {covering[0].expires}"
            return replace(finding, explanation=f"{finding.explanation}; {expired}")
        return replace(finding, verdict=Verdict.EXEMPT, exemption=valid[0])
