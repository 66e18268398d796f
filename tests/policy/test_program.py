"""The pack on the program of every stack file, and on prod with one changed property at a time."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pulumi
import pytest

from policy.finding import Verdict
from tests.policy.examples import (
    GROUP,
    INSTANCE,
    RESOURCE_ID,
    ROLE_POLICY,
    Sent,
    Stub,
    diagnostics,
    message_of,
)
from tests.recording_monitor import Recording
from tests.test_program import STACKS, run, sections_of

Parameters = list[dict[str, Any]]
Properties = dict[str, Any]


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("PULUMI_CONFIG", "PULUMI_CONFIG_SECRET_KEYS"):
        monkeypatch.delenv(name, raising=False)
    yield
    pulumi.runtime.set_all_config({}, [])


@pytest.fixture(scope="module")
def programs() -> dict[str, list[Sent]]:
    """What each stack file registers."""
    return {stack: registered(run(sections_of(stack), stack)) for stack in STACKS}


def registered(recording: Recording) -> list[Sent]:
    """Registrations as the engine sends them, with the only output that rules read."""
    return [
        {
            "type": each.type,
            "name": each.name,
            "urn": each.urn,
            "properties": {
                **each.inputs,
                **({"resourceId": RESOURCE_ID} if each.type == INSTANCE else {}),
            },
            "dependencies": {
                key: list(value.urns) for key, value in each.request.propertyDependencies.items()
            },
        }
        for each in recording.registrations
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_file_passes(stack: str, programs: dict[str, list[Sent]]) -> None:
    resources = programs[stack]
    assert [each for each in resources if each["type"] == INSTANCE], "without RDS this proves nothing"
    assert diagnostics(Stub(), resources) == []


def verdicts(resources: list[Sent]) -> set[tuple[str, Verdict]]:
    """Rule and verdict of each diagnostic."""
    found = diagnostics(Stub(), resources)
    return {(each.policyName.removeprefix("PGTLS-"), message_of(each).verdict) for each in found}


def changed(resources: list[Sent], token: str, change: Callable[[Properties], None]) -> list[Sent]:
    """The resources with the first one of a type changed."""
    result = copy.deepcopy(resources)
    candidates = [each for each in result if each["type"] == token]
    if token == ROLE_POLICY:
        candidates = [each for each in candidates if each["name"].startswith("rds-connect-")]
    change(candidates[0]["properties"])
    return result


def property_is(name: str, value: Any) -> Callable[[Properties], None]:
    return lambda properties: properties.update({name: value})


def property_is_missing(name: str) -> Callable[[Properties], None]:
    def change(properties: Properties) -> None:
        del properties[name]

    return change


def parameter_is(name: str, **values: str) -> Callable[[Properties], None]:
    def change(properties: Properties) -> None:
        next(each for each in properties["parameters"] if each["name"] == name).update(values)

    return change


def parameter_is_missing(name: str) -> Callable[[Properties], None]:
    def change(properties: Properties) -> None:
        before = len(properties["parameters"])
        properties["parameters"] = [each for each in properties["parameters"] if each["name"] != name]
        assert len(properties["parameters"]) == before - 1

    return change


def parameter_is_added(name: str, value: str) -> Callable[[Properties], None]:
    return lambda properties: properties["parameters"].append(
        {"name": name, "value": value, "applyMethod": "immediate"}
    )


def statement_is(**values: Any) -> Callable[[Properties], None]:
    def change(properties: Properties) -> None:
        document = json.loads(properties["policy"])
        document["Statement"][0].update(values)
        properties["policy"] = json.dumps(document)

    return change


def arn(server: str = RESOURCE_ID, user: str = "app_user", region: str = "eu-central-1") -> str:
    return f"arn:aws:rds-db:{region}:123456789012:dbuser:{server}/{user}"


MUTATIONS: Mapping[str, tuple[str, Callable[[Properties], None], set[str]]] = {
    "public": (INSTANCE, property_is("publiclyAccessible", True), {"P001"}),
    "not encrypted": (INSTANCE, property_is("storageEncrypted", False), {"P002"}),
    "encryption missing": (INSTANCE, property_is_missing("storageEncrypted"), {"P002"}),
    "IAM off": (INSTANCE, property_is("iamDatabaseAuthenticationEnabled", False), {"P014", "N48"}),
    "authority of 2019": (INSTANCE, property_is("caCertIdentifier", "rds-ca-2019"), {"P015"}),
    "authority missing": (INSTANCE, property_is_missing("caCertIdentifier"), {"N50"}),
    "password": (INSTANCE, property_is("password", "swordfish"), {"P025"}),
    "another major": (INSTANCE, property_is("engineVersion", "18"), {"N45"}),
    "master is a role": (INSTANCE, property_is("username", "app_user"), {"N47"}),
    "TLS not forced": (GROUP, parameter_is("rds.force_ssl", value="0"), {"N41", "P016"}),
    "TLS missing": (GROUP, parameter_is_missing("rds.force_ssl"), {"N41", "P016"}),
    "TLS at once": (GROUP, parameter_is("rds.force_ssl", applyMethod="immediate"), {"N44"}),
    "TLS 1.1": (GROUP, parameter_is("ssl_min_protocol_version", value="TLSv1.1"), {"N42"}),
    "minimum missing": (GROUP, parameter_is_missing("ssl_min_protocol_version"), {"N42"}),
    "maximum": (GROUP, parameter_is_added("ssl_max_protocol_version", "TLSv1.2"), {"N42"}),
    "ciphers": (GROUP, parameter_is("ssl_ciphers", value="TLS_RSA_WITH_AES_128_CBC_SHA"), {"N42"}),
    "md5 stored": (GROUP, parameter_is("password_encryption", value="md5"), {"N43"}),
    "md5 accepted": (
        GROUP,
        parameter_is("rds.accepted_password_auth_method", value="md5+scram"),
        {"N43"},
    ),
    "SCRAM missing": (GROUP, parameter_is_missing("rds.accepted_password_auth_method"), {"N43"}),
    "another family": (GROUP, property_is("family", "postgres16"), {"N45"}),
    "any user": (ROLE_POLICY, statement_is(Resource=arn(user="*")), {"N46"}),
    "any server": (ROLE_POLICY, statement_is(Resource=arn(server="*")), {"N46"}),
    "any region": (ROLE_POLICY, statement_is(Resource=arn(region="*")), {"N46"}),
    "any action": (ROLE_POLICY, statement_is(Action="rds-db:*"), {"N46"}),
    "everything": (ROLE_POLICY, statement_is(Action="*", Resource="*"), {"N46", "P146"}),
    "the master": (ROLE_POLICY, statement_is(Resource=arn(user="pgpl_master")), {"N47"}),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_one_weakened_property_of_prod_is_refused_by_its_rule(
    name: str, programs: dict[str, list[Sent]]
) -> None:
    token, change, expected = MUTATIONS[name]
    resources = changed(programs["prod"], token, change)
    assert verdicts(resources) == {(rule, Verdict.VIOLATED) for rule in expected}


def file_is(name: str, old: str, new: str) -> tuple[str, Callable[[Properties], None]]:
    """A change in a file of the self-managed server, by the name of its object."""

    def change(properties: Properties) -> None:
        assert old in properties["content"]
        properties["content"] = properties["content"].replace(old, new, 1)

    return f"self-managed-state-{name}", change


def metadata_is(**values: Any) -> Callable[[Properties], None]:
    return lambda properties: properties["metadataOptions"].update(values)


def first(token: str, changes: Callable[[Properties], None]) -> tuple[str, Callable[[Properties], None]]:
    return token, changes


HBA, CONF = "pg_hba.conf", "postgresql.conf"
MACHINE = "aws:ec2/instance:Instance"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
LEAF = "tls:index/locallySignedCert:LocallySignedCert"
KEY = "tls:index/privateKey:PrivateKey"
SUBNET = "aws:ec2/subnet:Subnet"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
ROLE = "aws:iam/role:Role"
SELF_MANAGED: Mapping[str, tuple[tuple[str, Callable[[Properties], None]], set[str]]] = {
    "a password from anywhere": (
        file_is(HBA, "hostgssenc all all all reject", "host all all 0.0.0.0/0 md5"),
        {"N02", "N04", "N08"},
    ),
    "without TLS": (
        file_is(HBA, "hostnossl all all all reject", "hostnossl app app_user 10.0.0.0/24 scram-sha-256"),
        {"N01", "N05"},
    ),
    "TLS off": (file_is(CONF, "ssl = 'on'", "ssl = 'off'"), {"N09"}),
    "TLS 1.1": (file_is(CONF, "'TLSv1.3'", "'TLSv1.1'"), {"N09"}),
    "md5 stored": (file_is(CONF, "scram-sha-256", "md5"), {"N13"}),
    "a weak suite": (file_is(CONF, "ssl_ciphers = '", "ssl_ciphers = 'AES256-SHA:"), {"N12"}),
    "IMDSv1": (first(MACHINE, metadata_is(httpTokens="optional")), {"P033"}),
    "two hops": (first(MACHINE, metadata_is(httpPutResponseHopLimit=2)), {"P034"}),
    "no role": (first(MACHINE, property_is_missing("iamInstanceProfile")), {"P037"}),
    "a public address": (first(MACHINE, property_is("associatePublicIpAddress", True)), {"P032", "P049"}),
    "a key in user data": (
        first(MACHINE, property_is("userDataBase64", "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg==")),
        {"P044"},
    ),
    "PostgreSQL in the internet": (first(INGRESS, property_is("cidrIpv4", "0.0.0.0/0")), {"P055"}),
    "a leaf for two years": (first(LEAF, property_is("validityPeriodHours", 17520)), {"N20"}),
    "never renewed": (first(LEAF, property_is_missing("earlyRenewalHours")), {"N21"}),
    "a weak key": (first(KEY, property_is("ecdsaCurve", "P224")), {"N22"}),
    "public addresses in a subnet": (first(SUBNET, property_is("mapPublicIpOnLaunch", True)), {"P078"}),
    "a public bucket": (first(BLOCK, property_is("blockPublicPolicy", False)), {"P113"}),
    "a bucket without TLS": (first(BUCKET_POLICY, property_is("policy", '{"Statement": []}')), {"P123"}),
    "a role for everybody": (
        first(
            ROLE,
            property_is(
                "assumeRolePolicy", '{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}}]}'
            ),
        ),
        {"P155"},
    ),
}


@pytest.mark.parametrize("name", SELF_MANAGED)
def test_one_weakened_property_of_a_self_managed_server_is_refused_by_its_rule(
    name: str, programs: dict[str, list[Sent]]
) -> None:
    (token, change), expected = SELF_MANAGED[name]
    resources = copy.deepcopy(programs["dev"])
    candidates = [each for each in resources if token in (each["type"], each["name"])]
    if token == INGRESS:
        candidates = [each for each in candidates if each["properties"]["fromPort"] == 5432]
    change(candidates[0]["properties"])
    assert verdicts(resources) == {(rule, Verdict.VIOLATED) for rule in expected}


def test_the_default_group_is_refused(programs: dict[str, list[Sent]]) -> None:
    resources = changed(programs["prod"], INSTANCE, property_is("parameterGroupName", "default.postgres17"))
    server = next(each for each in resources if each["type"] == INSTANCE)
    del server["dependencies"]["parameterGroupName"]
    assert verdicts(resources) == {("N40", Verdict.VIOLATED)}


def test_nobody_granted_is_a_mismatch(programs: dict[str, list[Sent]]) -> None:
    resources = [each for each in programs["prod"] if "rds-db:" not in json.dumps(each["properties"])]
    assert verdicts(resources) == {("N48", Verdict.VIOLATED)}
