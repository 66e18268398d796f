"""Resources of `aws-native` are read as those of `aws`, and what cannot be read is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from policy import evaluation
from policy.aws_native import TYPES, readable
from policy.finding import Verdict
from policy.resources import Resource
from policy.rule import ANY
from policy.rules import RULES
from policy.values import Placed, Value
from tests.policy.examples import (
    UNKNOWN,
    Sent,
    Stub,
    a_pack,
    configured,
    diagnostics,
    having,
    message_of,
    resource,
    secret,
    sent,
)
from tests.policy.fixtures import native

IN_OTHER_SHAPES = {
    "cidrBlocks",
    "ipv6CidrBlocks",
    "prefixListIds",
    "securityGroups",
    "self",
    "sourceSecurityGroupId",
}
# What the classic type has and aws-native lacks, so that its absence is certain: the default of AWS applies.
WITHOUT = {
    "aws-native:rds:DbInstance": {"passwordWo", "replicationSourceIdentifier", "restoreToPointInTime"},
    "aws-native:rds:DbCluster": {
        "caCertificateIdentifier",
        "masterPasswordWo",
        "replicateSourceDb",
        "restoreToPointInTime",
    },
    # Blocks and groups that only the other two shapes of a rule have.
    "aws-native:ec2:SecurityGroupIngress": IN_OTHER_SHAPES,
    "aws-native:ec2:SecurityGroupEgress": IN_OTHER_SHAPES,
    "aws-native:ec2:Instance": {"primaryNetworkInterface", "rootBlockDevice", "userData", "key"},
    "aws-native:kms:Key": {"customKeyStoreId"},
    "aws-native:secretsmanager:Secret": {"policy"},
    "aws-native:sns:Topic": {"policy"},
    "aws-native:ssm:Parameter": {"insecureValue", "valueWo", "key", "keyId"},
}


def messages(resources: list[Sent]) -> list[Any]:
    return [message_of(each) for each in diagnostics(Stub(), resources)]


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("public", "publiclyAccessible", "'true'"),
        ("a literal password", "masterUserPassword", "a secret"),
        ("an old authority", "caCertificateIdentifier", "'rds-ca-2019'"),
        ("PostgreSQL in the internet", "securityGroupIngress[0].cidrIp", "'0.0.0.0/0'"),
        ("a redirect to HTTP", "defaultActions[0].redirectConfig.protocol", "'HTTP'"),
        ("objects of their writers", "native-bucket.ownershipControls.rules[0].objectOwnership", None),
        ("a public list", "accessControl", "'public-read'"),
        ("a public address", "networkInterfaces[0].associatePublicIpAddress", "'true'"),
        ("targets without TLS", "protocol", "'HTTP'"),
    ],
)
def test_a_message_names_the_declared_type_and_property(name: str, place: str, value: str | None) -> None:
    resources, _ = native.REFUSED[name]
    found = messages(resources)
    [message] = [each for each in found if each.place == place]
    assert value is None or message.value == value


def test_what_the_table_lacks_is_undecided_by_its_name() -> None:
    [message] = messages(having([native.FIREWALL_OK], "native-firewall", newProperty="x"))
    assert message.verdict is Verdict.UNDECIDED
    assert [rule.id for rule in message.rules] == ["PGTLS-N94"]
    assert message.explanation.startswith(
        "PGTLS-N94: newProperty is not in the pack's table of aws-native:ec2:SecurityGroup"
    )


@pytest.mark.parametrize(
    ("stack", "name", "unknown"),
    [
        (native.DATABASE, "native-group", {"parameters": UNKNOWN}),
        (native.DATABASE, "native-group", {"parameters": {**native.PARAMETERS, "rds.force_ssl": UNKNOWN}}),
        (native.STORAGE, "native-bucket", {"publicAccessBlockConfiguration": UNKNOWN}),
        (native.STORAGE, "native-bucket", {"ownershipControls": UNKNOWN}),
        ([native.TEMPLATE_OK], "native-template", {"launchTemplateData": UNKNOWN}),
        ([native.HTTPS_OK], "native-listener", {"certificates": UNKNOWN}),
        ([native.HTTPS_OK], "native-listener", {"listenerAttributes": UNKNOWN}),
        ([native.HTTPS_OK], "native-listener", {"listenerAttributes": [{"key": UNKNOWN, "value": "x"}]}),
        ([native.MACHINE_OK], "native-machine", {"networkInterfaces": UNKNOWN}),
        ([native.FIREWALL_OK], "native-firewall", {"securityGroupIngress": UNKNOWN}),
    ],
)
def test_what_is_not_known_yet_is_undecided(stack: list[Sent], name: str, unknown: dict[str, Any]) -> None:
    found = messages(having(stack, name, **unknown))
    assert {each.verdict for each in found} == {Verdict.UNDECIDED}


def test_a_secret_of_the_schema_is_hidden_though_the_program_does_not_mark_it() -> None:
    key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB\n-----END EC PRIVATE KEY-----\n"
    assert messages([sent(native.SECRET, "s", {"secretString": key, "kmsKeyId": "k"})]) == []
    [part] = [
        each
        for each in readable(resource(sent(native.SECRET, "s", {"secretString": "swordfish"})))
        if each.type.endswith("SecretVersion")
    ]
    assert part["secretString"].shown == "a secret"


def test_an_exemption_names_the_declared_type() -> None:
    weak = having(native.DATABASE, "native-server", storageEncrypted=False)
    exemption = {
        "rule": "PGTLS-P002",
        "scope": f"{native.INSTANCE}::native-server",
        "reason": "Holds public data only, for the fair",
        "owner": "platform team",
        "expires": "2026-12-31",
    }
    found = diagnostics(configured(Stub(a_pack()), exemptions=[exemption]), weak)
    assert [message_of(each).verdict for each in found] == [Verdict.EXEMPT]


def test_wrapped_maps_are_read_as_well() -> None:
    wrapped = having(
        native.STORAGE, "native-bucket", ownershipControls=secret({"rules": [{"objectOwnership": "x"}]})
    )
    assert {rule.id for each in messages(wrapped) for rule in each.rules} == {"PGTLS-P128"}


class Watched(Placed):
    """Properties that keep which of them were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def value(self, key: str) -> Value:
        self.asked.add(key)
        return super().value(key)


def read_of(token: str) -> set[str]:
    """The properties of a classic type that rules read, as far as they get without any."""
    properties = Watched()
    of = Resource(urn="urn:pulumi:s::p::t::n", type=token, name="n", properties=properties)
    evaluation.of_resource([rule for rule in RULES if ANY not in rule.types], of)
    return properties.asked


def classics() -> Iterator[tuple[str, str]]:
    for name, native_type in TYPES.items():
        yield name, native_type.classic


@pytest.mark.parametrize(("name", "classic"), classics())
def test_every_property_that_a_rule_reads_is_in_the_table_or_known_to_be_missing(
    name: str, classic: str
) -> None:
    one_of_each = dict.fromkeys(TYPES[name].names, "x")
    made = {
        key
        for part in readable(Resource(urn="u", type=name, name="n", properties=one_of_each))
        for key in (*part.properties, *(["*"] if getattr(part.properties, "rest", None) else []))
    }
    missing = read_of(classic) - made - WITHOUT.get(name, set())
    assert missing == set() or "*" in made
