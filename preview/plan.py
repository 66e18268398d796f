"""What the engine reports during a preview: resources, warnings, findings of policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.events import Resource, RunState, plain
from policy.message import Message, parse

MANDATORY = "mandatory"
# Resources of the engine itself; nothing in the cloud belongs to them.
_OF_THE_ENGINE = ("pulumi:pulumi:Stack", "pulumi:providers:")
_SUMMARIES = ("policyAnalyzeSummaryEvent", "policyAnalyzeStackSummaryEvent")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one rule found in one resource, or in the whole stack.

    Attributes:
        rule: Id of the rule.
        pack: Name of its pack.
        level: Pulumi's enforcement level, such as `mandatory` or `advisory`.
        resource: Name and type of the resource, empty for the stack.
        text: What the engine shows: the rule's title, then its message.
    """

    rule: str
    pack: str
    level: str
    resource: str
    text: str

    @property
    def stops(self) -> bool:
        """Whether the engine refuses to deploy because of it."""
        return self.level == MANDATORY

    @property
    def message(self) -> Message | None:
        """The message of a rule of this project's pack; None for anything else, such as another pack."""
        return parse(self.text)


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
    findings: list[Finding] = field(default_factory=list)
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
            self.rules.update(summary.get("passed") or (), summary.get("failed") or ())
        elif "diagnosticEvent" in event and event["diagnosticEvent"].get("severity") == "warning":
            self.warnings.append(plain(event["diagnosticEvent"].get("message", "")))

    def counts(self) -> Counter[tuple[str, str]]:
        """How many resources of each type and operation: `create`, or `read` for what exists already."""
        return Counter(self.resources.values())

    def operations(self) -> str:
        """How many resources each operation affects, such as `3 create, 1 read`."""
        counts = Counter(operation for _, operation in self.resources.values())
        return ", ".join(f"{count} {operation}" for operation, count in sorted(counts.items()))

    def sorted_findings(self) -> list[Finding]:
        """The findings, mandatory ones first."""
        return sorted(self.findings, key=lambda found: (not found.stops, found.rule, found.resource))

    def _find(self, event: Mapping[str, Any]) -> None:
        urn = event.get("resourceUrn", "")
        resource = Resource.of(urn) if urn else None
        named = f"{resource.name} ({resource.type})" if resource and resource.type != "Stack" else ""
        finding = Finding(
            rule=event["policyName"],
            pack=event["policyPackName"],
            level=event["enforcementLevel"],
            resource=named,
            text=plain(event["message"]),
        )
        if finding not in self.findings:
            self.findings.append(finding)
