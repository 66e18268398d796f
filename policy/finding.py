"""What evaluation finds. A rule without a finding has passed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from policy.exemptions import Exemption
from policy.resources import Resource
from policy.rule import Rule, Severity


class Verdict(StrEnum):
    """What a finding says about a rule and a resource."""

    VIOLATED = "violated"
    UNDECIDED = "undecided"
    CRASHED = "crashed"
    EXEMPT = "exempt"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding. `policy.message.Message` is what the engine carries of it.

    Attributes:
        rule: The rule.
        resource: The resource.
        verdict: What was found.
        place: Property, and the place in its text; empty unless something is wrong there.
        value: The property's value as it may be shown; empty where the place is in a text.
        explanation: What is expected; why nothing can be decided; where the rule crashed.
        waits_for: The property without whose value nothing can be decided; empty for another reason.
        own_severity: The finding's severity where it differs from its rule's.
        exemption: The exemption that covers a violation.
        others: Rules that are undecided for the same reason.
    """

    rule: Rule
    resource: Resource
    verdict: Verdict
    place: str = ""
    value: str = ""
    explanation: str
    waits_for: str = ""
    own_severity: Severity | None = None
    exemption: Exemption | None = None
    others: tuple[Rule, ...] = ()

    @property
    def severity(self) -> Severity:
        """How severe it is: by itself, else as its rule is."""
        return self.own_severity or self.rule.severity


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, with one for all rules that the same unknown value leaves undecided.

    Many rules read one policy document or one file. A finding for each of them would bury the others. The
    most severe rule comes first.
    """
    by_severity = list(Severity)
    result: list[Finding] = []
    undecided: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        if each.verdict is Verdict.UNDECIDED:
            undecided.setdefault((each.resource.urn, each.explanation), []).append(each)
        else:
            result.append(each)
    for same in undecided.values():
        rules = sorted(
            dict.fromkeys(each.rule for each in same), key=lambda rule: by_severity.index(rule.severity)
        )
        result.append(replace(same[0], rule=rules[0], others=tuple(rules[1:])))
    return result
