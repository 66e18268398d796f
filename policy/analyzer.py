"""Pulumi's analyzer protocol for the pack: one policy per rule, one reply per request.

It replaces the SDK's `PolicyPack`, in which an unknown value turns a mandatory policy into an advisory line,
one exception loses the whole reply, secrets arrive unmarked, and every policy decodes every resource again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import proto
from pulumi_policy.version import VERSION

from policy.aws_native import readable
from policy.enforcement import DEFAULT, Level
from policy.finding import Verdict, merged
from policy.message import Message
from policy.pack import ABOUT, CONFIGURATION, COVERAGE, NAME, OWN, PROPERTIES, UNDECIDED, Pack, Reported
from policy.resources import Resource, Stack
from policy.rule import Rule, Severity
from policy.values import decoded

_LEVELS: Mapping[Level, Any] = MappingProxyType(
    {
        Level.MANDATORY: proto.MANDATORY,
        Level.ADVISORY: proto.ADVISORY,
        Level.DISABLED: proto.DISABLED,
    }
)
_SEVERITIES: Mapping[Severity, Any] = MappingProxyType(
    {
        Severity.CRITICAL: proto.POLICY_SEVERITY_CRITICAL,
        Severity.HIGH: proto.POLICY_SEVERITY_HIGH,
        Severity.MEDIUM: proto.POLICY_SEVERITY_MEDIUM,
        Severity.LOW: proto.POLICY_SEVERITY_LOW,
    }
)
# The engine takes the version from PulumiPolicy.yaml. This one is used where that has none.
_VERSION = "0.0.1"


class Analyzer(proto.AnalyzerServicer):
    """Answers the engine's requests."""

    def __init__(self, pack: Pack, *, names_undecided: bool = False) -> None:
        """Answer for a pack; `names_undecided` names every rule that cannot be decided yet."""
        self._pack = pack
        self._names_undecided = names_undecided

    def Analyze(self, request: Any, context: Any) -> Any:
        """Findings in one resource, before it is created."""
        found = [
            each for resource in readable(_resource(request, {})) for each in self._pack.of_resource(resource)
        ]
        return self._response(found, with_urn=False)

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        """Findings in all resources together, after the last one is registered."""
        stack = Stack(
            resource
            for each in request.resources
            for resource in readable(
                _resource(each, {name: tuple(urns.urns) for name, urns in each.propertyDependencies.items()})
            )
        )
        response = self._response(self._pack.of_stack(stack), with_urn=True)
        response.diagnostics.extend(
            self._diagnostic(CONFIGURATION, each.text, each.level) for each in self._pack.notices(stack)
        )
        if said := self._pack.unjudged(stack):
            response.diagnostics.append(self._diagnostic(COVERAGE, said, self._pack.level_of(COVERAGE)))
        return response

    def Remediate(self, request: Any, context: Any) -> Any:
        """Change nothing: this pack only reports."""
        return proto.RemediateResponse()

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        """Name, rules and configuration schema of the pack."""
        info = proto.AnalyzerInfo(name=NAME, version=_VERSION, supportsConfig=True)
        info.policies.extend(_info(rule) for rule in self._pack.rules)
        for name, level in OWN.items():
            policy = info.policies.add(name=name, description=ABOUT[name], enforcementLevel=_LEVELS[level])
            policy.policy_type = proto.POLICY_TYPE_STACK
            if name == CONFIGURATION:
                policy.configSchema.properties.update(PROPERTIES)
        return info

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """The version of the SDK that defines the protocol."""
        return proto.PluginInfo(version=VERSION)

    def Configure(self, request: Any, context: Any) -> Any:
        """Take the rules' levels and the pack's own configuration."""
        levels = {name: _level(config.enforcementLevel) for name, config in request.policyConfig.items()}
        own = request.policyConfig.get(CONFIGURATION)
        properties = json_format.MessageToDict(own.properties) if own is not None else {}
        self._pack.configure(levels, properties)
        return empty_pb2.Empty()

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        """Accept the stack; its tags are not used."""
        return proto.AnalyzerStackConfigureResponse()

    def _response(self, found: Iterable[Reported], *, with_urn: bool) -> Any:
        response = proto.AnalyzeResponse()
        reported = list(found)
        levels = {id(each.finding): each.level for each in reported}
        for finding in merged(each.finding for each in reported):
            is_undecided = finding.verdict is Verdict.UNDECIDED
            name = UNDECIDED if is_undecided else finding.rule.id
            level = self._pack.level_of(UNDECIDED) if is_undecided else levels[id(finding)]
            text = Message.of(finding, with_rules=self._names_undecided).format()
            diagnostic = self._diagnostic(name, text, level)
            if not is_undecided:
                diagnostic.description = finding.rule.title
                diagnostic.severity = _SEVERITIES[finding.severity]
            diagnostic.urn = finding.resource.urn if with_urn else ""
            response.diagnostics.append(diagnostic)
        return response

    def _diagnostic(self, name: str, message: str, level: Level) -> Any:
        return proto.AnalyzeDiagnostic(
            policyName=name,
            policyPackName=NAME,
            policyPackVersion=_VERSION,
            description=ABOUT.get(name, ""),
            message=message,
            enforcementLevel=_LEVELS[level],
        )


def _level(sent: int) -> Level:
    # This pack remediates nothing, so it refuses instead.
    sent = proto.MANDATORY if sent == proto.REMEDIATE else sent
    return next(level for level, number in _LEVELS.items() if number == sent)


def _info(rule: Rule) -> Any:
    kind = proto.POLICY_TYPE_RESOURCE if rule.checks else proto.POLICY_TYPE_STACK
    return proto.PolicyInfo(
        name=rule.id,
        displayName=rule.title,
        description=rule.title,
        message=rule.why,
        enforcementLevel=_LEVELS[DEFAULT[rule.severity]],
        severity=_SEVERITIES[rule.severity],
        policy_type=kind,
        tags=[rule.area],
        remediation_steps=rule.fix,
        url=rule.link,
    )


def _resource(sent: Any, dependencies: Mapping[str, tuple[str, ...]]) -> Resource:
    properties = sent.properties if isinstance(sent.properties, struct_pb2.Struct) else struct_pb2.Struct()
    return Resource(
        urn=sent.urn,
        type=sent.type,
        name=sent.name,
        properties=decoded(json_format.MessageToDict(properties)),
        dependencies=dependencies,
        ignored=tuple(sent.options.ignoreChanges),
        delete_before_replace=sent.options.deleteBeforeReplace,
    )
