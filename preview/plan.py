"""What the engine says while it previews: resources, warnings, what policies find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.events import Account, Resource, plain

MANDATORY = "mandatory"
# Neither is anything in the cloud.
_OF_THE_ENGINE = ("pulumi:pulumi:Stack", "pulumi:providers:")
_SUMMARIES = ("policyAnalyzeSummaryEvent", "policyAnalyzeStackSummaryEvent")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one rule says of one resource, or of the whole stack.

    Attributes:
        rule: Id of the rule.
        pack: Name of its pack.
        level: `mandatory`, `advisory` and what else Pulumi has.
        resource: Name and type of the resource, empty for the stack.
        message: The rule's words.
    """

    rule: str
    pack: str
    level: str
    resource: str
    message: str

    @property
    def stops(self) -> bool:
        """Whether the engine refuses to deploy because of it."""
        return self.level == MANDATORY


@dataclass(kw_only=True)
class Plan(Account):
    """What a preview has come to so far.

    Attributes:
        resources: Type and operation, by URN.
        findings: What policies say.
        rules: Ids of all rules that have judged something.
        warnings: Warnings of engine and program.
    """

    resources: dict[str, tuple[str, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event, and show it."""
        super().take(event)
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
        """How many resources of each type, and what happens to them: `create`, or `read` of what exists."""
        return Counter(self.resources.values())

    def _find(self, event: Mapping[str, Any]) -> None:
        urn = event.get("resourceUrn", "")
        resource = Resource.of(urn) if urn else None
        named = f"{resource.name} ({resource.type})" if resource and resource.type != "Stack" else ""
        finding = Finding(
            rule=event["policyName"],
            pack=event["policyPackName"],
            level=event["enforcementLevel"],
            resource=named,
            message=plain(event["message"]),
        )
        if finding not in self.findings:
            self.findings.append(finding)
