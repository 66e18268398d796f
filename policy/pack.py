"""The pack: rules with a configuration of enforcement levels and exemptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from policy import coverage, enforcement, evaluation, exemptions
from policy.enforcement import Enforcement, Level
from policy.exemptions import Exemption
from policy.finding import Finding, Verdict
from policy.resources import Resource, Stack
from policy.rule import ANY, Rule

NAME = "passwordless-postgres"
CONFIGURATION = "PGTLS-configuration"
"""The policy that takes the pack's own configuration, and that reports mistakes in it."""

COVERAGE = "PGTLS-coverage"
"""The policy that counts what no rule reads."""

PROPERTIES: Mapping[str, Any] = {"enforcement": enforcement.SCHEMA, "exemptions": exemptions.SCHEMA}


def today() -> date:
    """Today's date in UTC."""
    return datetime.now(tz=UTC).date()


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A finding with its enforcement level."""

    finding: Finding
    level: Level


@dataclass(kw_only=True)
class Pack:
    """Rules with a configuration.

    Attributes:
        rules: The rules.
        clock: Returns today's date.
        enforcement: The configured levels.
        sent: The level of each rule that the engine sent.
        exemptions: The configured exemptions.
        mistakes: What is wrong with the configuration.
        looked_at: URNs of the resources that were analyzed since the last stack.
        applied: Enabled rules by resource type, as a cache; those of every type under an empty string.
        found: Rule and URN of each finding since the last stack.
    """

    rules: tuple[Rule, ...]
    clock: Callable[[], date] = today
    enforcement: Enforcement = field(default_factory=Enforcement)
    sent: Mapping[str, Level] = field(default_factory=dict)
    exemptions: list[Exemption] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    looked_at: set[str] = field(default_factory=set)
    applied: dict[str, list[Rule]] = field(default_factory=dict, repr=False)
    found: set[tuple[str, str]] = field(default_factory=set)

    def configure(self, sent: Mapping[str, Level], properties: Mapping[str, Any]) -> None:
        """Take a configuration. Mistakes in it have no effect, and are reported with the stack."""
        self.sent = sent
        self.applied.clear()
        names = [rule.id for rule in self.rules]
        self.enforcement, wrong_levels = enforcement.read(properties.get("enforcement", {}), names)
        self.exemptions, wrong_exemptions = exemptions.read(properties.get("exemptions", []), names)
        unknown = [f"unknown key {name!r}" for name in properties if name not in PROPERTIES]
        self.mistakes = [*unknown, *wrong_levels, *wrong_exemptions]

    def level_of(self, rule: Rule) -> Level:
        """The enforcement level of a rule."""
        return self.enforcement.level_of(rule, self.sent)

    def of_resource(self, resource: Resource) -> list[Reported]:
        """The findings in one resource."""
        self.looked_at.add(resource.urn)
        return self._reported(evaluation.of_resource(self._enabled(resource.type), resource))

    def of_stack(self, stack: Stack) -> list[Reported]:
        """The findings in all resources together."""
        return self._reported(evaluation.of_stack(self._enabled(), stack))

    def unjudged(self, stack: Stack) -> str:
        """What no enabled rule reads in a stack, as one line; empty where there is nothing.

        Call it after the stack was analyzed.
        """
        about = {token for rule in self._enabled() for token in rule.types} - {ANY}
        return coverage.unjudged(stack, about)

    def problems_of_configuration(self, stack: Stack) -> list[str]:
        """Mistakes, and exemptions that have expired, match no resource, or are not needed.

        Call it last, after every resource and the stack were analyzed.
        """
        day = self.clock()
        expired = [
            f"the exemption of {each.resource} from {each.rule} by {each.owner} expired on {each.expires}: "
            "fix the violation, or extend the exemption"
            for each in self.exemptions
            if each.has_expired(day)
        ]
        unmatched = [
            f"the exemption of {each.resource} from {each.rule} by {each.owner} matches no resource of "
            "the stack: remove it, or set resource to a URN or to `type::name`"
            for each in self.exemptions
            if not any(each.names(resource) for resource in stack.resources)
        ]
        unneeded = [
            f"the exemption of {each.resource} from {each.rule} by {each.owner} is not needed: "
            "the rule finds nothing there; remove it"
            for each in self.exemptions
            if not each.has_expired(day) and self._is_unneeded(each, stack)
        ]
        self.looked_at.clear()
        self.found.clear()
        return [*self.mistakes, *expired, *unmatched, *unneeded]

    def _is_unneeded(self, exempt: Exemption, stack: Stack) -> bool:
        """Whether the rule was applied to every resource that the exemption names, without a finding."""
        rule = next(each for each in self.rules if each.id == exempt.rule)
        named = [each.urn for each in stack.resources if exempt.names(each)]
        applied = rule.is_about_the_stack or self.looked_at.issuperset(named)
        settled = all((rule.id, urn) not in self.found for urn in named)
        return bool(named) and applied and settled and self.level_of(rule) is not Level.DISABLED

    def _enabled(self, token: str = "") -> Iterable[Rule]:
        if token not in self.applied:
            self.applied[token] = [
                rule
                for rule in self.rules
                if self.level_of(rule) is not Level.DISABLED and (not token or rule.is_about(token))
            ]
        return self.applied[token]

    def _reported(self, findings: list[Finding]) -> list[Reported]:
        self.found.update((each.rule.id, each.resource.urn) for each in findings)
        reported = [
            Reported(finding=finding, level=enforcement.level_of_finding(finding, self._level(finding)))
            for finding in (self._exempted(each) for each in findings)
        ]
        return [each for each in reported if each.level is not Level.DISABLED]

    def _level(self, finding: Finding) -> Level:
        return self.enforcement.level_of(finding.rule, self.sent, finding.own_severity)

    def _exempted(self, finding: Finding) -> Finding:
        """The finding, marked as exempt where an exemption covers it.

        Only a violation can be exempt: what is undecided or crashed has not been examined yet.
        """
        covering = next(
            (
                each
                for each in self.exemptions
                if each.rule == finding.rule.id and each.names(finding.resource)
            ),
            None,
        )
        if covering is None or finding.verdict is not Verdict.VIOLATED:
            return finding
        if covering.has_expired(self.clock()):
            expired = f"its exemption by {covering.owner} expired on {covering.expires}"
            return replace(finding, explanation=f"{finding.explanation}; {expired}")
        return replace(finding, verdict=Verdict.EXEMPT, exemption=covering)
