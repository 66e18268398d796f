"""What the engine reports during a preview: resources, warnings, findings of policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.events import RunState, plain
from policy.engine_event import Found
from policy.pack import OWN

# Resources of the engine itself; nothing in the cloud belongs to them.
_OF_THE_ENGINE = ("pulumi:pulumi:Stack", "pulumi:providers:")
_SUMMARIES = ("policyAnalyzeSummaryEvent", "policyAnalyzeStackSummaryEvent")


@dataclass(kw_only=True)
class Plan(RunState):
    """The result of a preview so far.

    Attributes:
        resources: Type and operation, by URN.
        findings: What policies found.
        rules: Ids of all rules that were applied.
        warnings: Warnings of engine and program.
    """

    resources: dict[str, tuple[str, str]] = field(default_factory=dict)
    findings: list[Found] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def handle(self, event: Mapping[str, Any]) -> None:
        """Add one event, and show it as progress."""
        super().handle(event)
        if "resourcePreEvent" in event:
            metadata = event["resourcePreEvent"]["metadata"]
            if not metadata["type"].startswith(_OF_THE_ENGINE):
                self.resources[metadata["urn"]] = (metadata["type"], metadata["op"])
        elif "policyEvent" in event:
            self._find(event["policyEvent"])
        elif summary := next((event[name] for name in _SUMMARIES if name in event), None):
            self.rules.update({*(summary.get("passed") or ()), *(summary.get("failed") or ())} - OWN.keys())
        elif "diagnosticEvent" in event and event["diagnosticEvent"].get("severity") == "warning":
            self.warnings.append(plain(event["diagnosticEvent"].get("message", "")))

    def counts(self) -> Counter[tuple[str, str]]:
        """How many resources of each type and operation: `create`, or `read` for what exists already."""
        return Counter(self.resources.values())

    def operations(self) -> str:
        """How many resources each operation affects, such as `3 create, 1 read`."""
        counts = Counter(operation for _, operation in self.resources.values())
        return ", ".join(f"{count} {operation}" for operation, count in sorted(counts.items())) or "none"

    def sorted_findings(self) -> list[Found]:
        """The findings: mandatory ones first, undecided ones last."""
        return sorted(
            self.findings, key=lambda found: (not found.stops, found.is_undecided, found.rule, found.resource)
        )

    def judgement(self) -> str:
        """How many findings there are of each kind, such as `1 mandatory, 2 advisory, 0 undecided`."""
        counts = Counter(found.standing for found in self.findings)
        kinds = ", ".join(f"{counts[each]} {each}" for each in ("mandatory", "advisory", "undecided"))
        return f"{kinds if self.findings else 'no'} findings of {len(self.rules)} rules"

    def _find(self, event: Mapping[str, Any]) -> None:
        finding = Found.of(event, plain(event["message"]))
        if finding not in self.findings:
            self.findings.append(finding)
