"""What rules found: violated, undecided, crashed or exempt; a rule without findings has passed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from policy.registered import Resource
from policy.rule import Rule


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
    """

    rule: Rule
    resource: Resource
    verdict: Verdict
    detail: str
    exemption: str = ""

    @property
    def message(self) -> str:
        """One line: rule, resource, what is wrong, what to do, where to read on."""
        rule, resource = self.rule, self.resource
        place = f"{rule.id} [{rule.severity}] {resource.name} ({resource.type})"
        match self.verdict:
            case Verdict.UNDECIDED:
                return f"{place}: undecided: {self.detail}. {rule.title}. See: {rule.link}"
            case Verdict.CRASHED:
                return f"{place}: the rule itself failed, so nothing is proven: {self.detail}"
            case Verdict.EXEMPT:
                return f"{place} {self.detail}. Exempt: {self.exemption}"
            case _:
                return f"{place} {self.detail}. Fix: {rule.fix}. See: {rule.link}"
