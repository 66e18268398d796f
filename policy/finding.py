"""What rules found: violated, undecided, crashed or exempt; a rule without findings has passed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from policy.registered import Resource
from policy.rule import Rule, Severity


class Verdict(StrEnum):
    """What a finding says about a rule and a resource."""

    VIOLATED = "violated"
    UNDECIDED = "undecided"
    CRASHED = "crashed"
    EXEMPT = "exempt"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding.

    Attributes:
        rule: The rule.
        resource: The resource.
        verdict: What is found.
        detail: The property, its value and what is expected; why it is undecided; where it crashed.
        exemption: Reason, owner and last day of the exemption that covers it.
        others: Rules that cannot be decided for the same reason.
    """

    rule: Rule
    resource: Resource
    verdict: Verdict
    detail: str
    exemption: str = ""
    others: tuple[Rule, ...] = ()

    @property
    def message(self) -> str:
        """One line: rule, resource, what is wrong, what to do, where to read on."""
        rule, resource = self.rule, self.resource
        rules = ", ".join(f"{each.id} [{each.severity}]" for each in (rule, *self.others))
        place = f"{rules} {resource.name} ({resource.type})"
        match self.verdict:
            case Verdict.UNDECIDED:
                what = f"{len(self.others) + 1} rules" if self.others else rule.title
                return f"{place}: undecided: {self.detail}. {what}. See: {rule.link}"
            case Verdict.CRASHED:
                return f"{place}: the rule itself failed, so nothing is proven: {self.detail}"
            case Verdict.EXEMPT:
                return f"{place} {self.detail}. Exempt: {self.exemption}"
            case _:
                return f"{place} {self.detail}. Fix: {rule.fix}. See: {rule.link}"


def together(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, those that one unknown leaves undecided of a resource as one, the gravest rule first.

    One unknown is what many rules are about: a policy, a file. Said once for each, it would hide the rest.
    """
    gravity = list(Severity)
    result: list[Finding] = []
    undecided: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        if each.verdict is Verdict.UNDECIDED:
            undecided.setdefault((each.resource.urn, each.detail), []).append(each)
        else:
            result.append(each)
    for same in undecided.values():
        rules = sorted(
            dict.fromkeys(each.rule for each in same), key=lambda rule: gravity.index(rule.severity)
        )
        result.append(replace(same[0], rule=rules[0], others=tuple(rules[1:])))
    return result
