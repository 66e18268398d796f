"""A hardened server as the engine sends it, ways to weaken it, and two ways to ask the pack."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime import proto

from policy.analyzer import _SEVERITIES, Analyzer
from policy.aws_native import readable
from policy.finding import Verdict
from policy.message import Message, RuleReference, parse
from policy.owned import Owned
from policy.pack import COVERAGE, OWN, Pack
from policy.resources import Resource, Stack
from policy.rules import RULES
from policy.values import decoded
from tests.policy.typed import SECRET, SIGNATURE, secrets_of
from tests.recording_monitor import is_secret

URN = "urn:pulumi:prod::passwordless-postgres::"
INSTANCE = "aws:rds/instance:Instance"
CLUSTER = "aws:rds/cluster:Cluster"
CLUSTER_INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
GROUP = "aws:rds/parameterGroup:ParameterGroup"
CLUSTER_GROUP = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ROLE = "aws:iam/role:Role"
RESOURCE_ID = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TODAY = date(2026, 11, 1)
OWNED = Owned(accounts=frozenset({"123456789012"}), organisations=frozenset({"o-abcdefghij"}))
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWNS = (
    UNKNOWN,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
)
CIPHERS = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"

Sent = dict[str, Any]


def secret(value: Any) -> Any:
    return {SIGNATURE: SECRET, "value": value}


def sent(token: str, name: str, properties: Mapping[str, Any], **dependencies: str) -> Sent:
    """A resource as the engine sends it, with what the SDK's class marks as secret by its type."""
    return {
        "type": token,
        "name": name,
        "urn": f"{URN}{token}::{name}",
        "properties": {
            key: secret(value) if key in secrets_of(token) and not is_secret(value) else copy.deepcopy(value)
            for key, value in properties.items()
        },
        "dependencies": {key: [f"{URN}{value}"] for key, value in dependencies.items()},
    }


def parameter(name: str, value: Any, method: Any = "immediate") -> dict[str, Any]:
    return {"name": name, "value": value, "applyMethod": method}


PARAMETERS = [
    parameter("rds.force_ssl", "1", "pending-reboot"),
    parameter("ssl_min_protocol_version", "TLSv1.2"),
    parameter("ssl_ciphers", CIPHERS),
    parameter("password_encryption", "scram-sha-256"),
    parameter("rds.accepted_password_auth_method", "scram"),
]


def group(token: str = GROUP, family: str = "postgres17", parameters: Any = PARAMETERS, **other: Any) -> Sent:
    return sent(token, "group", {"name": "group-1", "family": family, "parameters": parameters, **other})


def without(*names: str) -> list[dict[str, Any]]:
    return [each for each in PARAMETERS if each["name"] not in names]


def replaced(name: str, value: Any, method: Any = None) -> list[dict[str, Any]]:
    """The parameters with another value for one, or with one more."""
    old = next((each for each in PARAMETERS if each["name"] == name), parameter(name, ""))
    return [*without(name), {**old, "value": value, **({"applyMethod": method} if method else {})}]


KEPT = {
    "kmsKeyId": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "enabledCloudwatchLogsExports": ["postgresql", "upgrade"],
    "backupRetentionPeriod": 7,
    "copyTagsToSnapshot": True,
    "deletionProtection": True,
}
"""What instances and clusters have alike: a key, logs, backups, protection from deletion."""


def instance(**changed: Any) -> Sent:
    """A hardened server; `None` removes a property."""
    properties = {
        "engine": "postgres",
        "engineVersion": "17",
        "publiclyAccessible": False,
        "storageEncrypted": True,
        "iamDatabaseAuthenticationEnabled": True,
        "caCertIdentifier": "rds-ca-ecc384-g1",
        "manageMasterUserPassword": True,
        "username": "pgpl_master",
        "parameterGroupName": "group-1",
        "dbSubnetGroupName": "subnets-1",
        "resourceId": RESOURCE_ID,
        **KEPT,
        "multiAz": True,
        "monitoringInterval": 60,
        **changed,
    }
    kept = {key: value for key, value in properties.items() if value is not None}
    return sent(INSTANCE, "server", kept)


def cluster(**changed: Any) -> Sent:
    properties = {
        "engine": "aurora-postgresql",
        "engineVersion": "17.4",
        "storageEncrypted": True,
        "iamDatabaseAuthenticationEnabled": True,
        "manageMasterUserPassword": True,
        "masterUsername": "pgpl_master",
        "dbClusterParameterGroupName": "group-1",
        "dbSubnetGroupName": "subnets-1",
        **KEPT,
        "clusterResourceId": "cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        **changed,
    }
    kept = {key: value for key, value in properties.items() if value is not None}
    return sent(CLUSTER, "cluster", kept)


def connect_arn(
    user: str = "app_user", server: str = RESOURCE_ID, partition: str = "aws", region: str = "eu-central-1"
) -> str:
    return f"arn:{partition}:rds-db:{region}:123456789012:dbuser:{server}/{user}"


def document(
    resource: Any = None, action: Any = "rds-db:connect", effect: str = "Allow", **other: Any
) -> str:
    statement = {"Effect": effect, "Action": action, "Resource": resource or connect_arn(), **other}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def statement(**changed: Any) -> dict[str, Any]:
    """A policy document as a map, which pulumi-aws accepts as well as text."""
    given = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": connect_arn(), **changed}
    return {"Statement": [{key: each for key, each in given.items() if each is not None}]}


def policy(text: Any = None) -> Sent:
    return sent(ROLE_POLICY, "connect", {"role": "app", "policy": document() if text is None else text})


def hardened(*instead: Sent) -> list[Sent]:
    """A server with its parameter group and one grant; `instead` replaces those of the same name."""
    found = {each["name"]: each for each in (group(), instance(), policy())}
    return list({**found, **{each["name"]: each for each in instead}}.values())


def member(**changed: Any) -> Sent:
    properties = {"caCertIdentifier": "rds-ca-rsa4096-g1", "publiclyAccessible": False, **changed}
    return sent(
        CLUSTER_INSTANCE, "member", {key: each for key, each in properties.items() if each is not None}
    )


def hardened_cluster(*instead: Sent) -> list[Sent]:
    grant = policy(document(connect_arn(server="cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ")))
    whole = (group(CLUSTER_GROUP, "aurora-postgresql17"), cluster(), member(), grant)
    found = {each["name"]: each for each in whole}
    return list({**found, **{each["name"]: each for each in instead}}.values())


def resource(of: Sent) -> Resource:
    return Resource(
        urn=of["urn"],
        type=of["type"],
        name=of["name"],
        properties=decoded(of["properties"]),
        dependencies={key: tuple(urns) for key, urns in of["dependencies"].items()},
        ignored=tuple(of.get("ignored", ())),
        delete_before_replace=bool(of.get("delete_before_replace")),
    )


def a_pack(**given: Any) -> Pack:
    known = {"rules": RULES, "clock": lambda: TODAY, "is_whole": lambda: True, "owned": OWNED}
    return Pack(**{**known, **given})


Verdicts = set[tuple[str, str, str]]
"""Rule, resource name and verdict."""


def in_process(resources: Iterable[Sent], pack: Pack | None = None) -> Verdicts:
    pack = pack or a_pack()
    seen = [part for each in resources for part in readable(resource(each))]
    reported = [found for each in seen for found in pack.of_resource(each)] + pack.of_stack(Stack(seen))
    return {
        (each.finding.rule.id.removeprefix("PGTLS-"), each.finding.resource.name, str(each.finding.verdict))
        for each in reported
    }


def ids(verdicts: Verdicts, verdict: str = "violated") -> set[str]:
    return {rule for rule, _, found in verdicts if found == verdict}


def analyze_request(of: Sent) -> Any:
    request = proto.AnalyzeRequest(type=of["type"], urn=of["urn"], name=of["name"])
    request.properties.update(of["properties"])
    request.options.ignoreChanges.extend(of.get("ignored", ()))
    request.options.deleteBeforeReplace = bool(of.get("delete_before_replace"))
    return request


def stack_request(resources: Iterable[Sent]) -> Any:
    request = proto.AnalyzeStackRequest()
    for of in resources:
        each = proto.AnalyzerResource(type=of["type"], urn=of["urn"], name=of["name"])
        each.properties.update(of["properties"])
        for key, urns in of["dependencies"].items():
            each.propertyDependencies[key].urns.extend(urns)
        request.resources.append(each)
    return request


class Stub:
    """The servicer without a network, with the interface of a gRPC stub."""

    def __init__(self, pack: Pack | None = None) -> None:
        self._analyzer = Analyzer(pack or a_pack(), names_undecided=True)

    def __getattr__(self, name: str) -> Any:
        return lambda request: getattr(self._analyzer, name)(request, None)


def diagnostics(stub: Any, resources: Iterable[Sent]) -> list[Any]:
    """Every finding of rules, and problems of the configuration."""
    resources = list(resources)
    found = [each for of in resources for each in stub.Analyze(analyze_request(of)).diagnostics]
    of_stack = stub.AnalyzeStack(stack_request(resources)).diagnostics
    return found + [each for each in of_stack if each.policyName != COVERAGE]


def unjudged(stub: Any, resources: Iterable[Sent]) -> list[Any]:
    """The diagnostics that count what no rule reads."""
    of_stack = stub.AnalyzeStack(stack_request(resources)).diagnostics
    return [each for each in of_stack if each.policyName == COVERAGE]


def message_of(diagnostic: Any) -> Message:
    """The message that a diagnostic carries, with its rule."""
    message = parse(diagnostic.message)
    if diagnostic.policyName in OWN:
        return message
    severity = next(each for each, number in _SEVERITIES.items() if number == diagnostic.severity)
    return replace(message, rules=(RuleReference(diagnostic.policyName, severity),))


def violated(found: Iterable[Any]) -> set[str]:
    """Rules that were violated or crashed."""
    return {
        each.policyName.removeprefix("PGTLS-")
        for each in found
        if message_of(each).verdict in (Verdict.VIOLATED, Verdict.CRASHED)
    }


def configured(stub: Any, **properties: Any) -> Any:
    """The stub after Configure, with every rule's default level and the pack's own properties."""
    request = proto.ConfigureAnalyzerRequest()
    for each in stub.GetAnalyzerInfo(empty_pb2.Empty()).policies:
        request.policyConfig[each.name].enforcementLevel = each.enforcementLevel
    request.policyConfig["PGTLS-configuration"].properties.update(properties)
    stub.Configure(request)
    return stub


def having(stack: Iterable[Sent], name: str, **changed: Any) -> list[Sent]:
    """The stack with changed properties of one resource; `None` removes one."""
    result = copy.deepcopy(list(stack))
    found = next(each for each in result if each["name"] == name)
    properties = {**found["properties"], **changed}
    found["properties"] = {key: value for key, value in properties.items() if value is not None}
    return result


def lacking(stack: Iterable[Sent], *names: str) -> list[Sent]:
    """The stack without some resources."""
    return [each for each in stack if each["name"] not in names]


def allow(*statements: Mapping[str, Any]) -> str:
    """A policy document with these statements, with Allow as the default effect."""
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]}
    )
