"""What each rule refuses and what it accepts, in process and through the analyzer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policy.finding import Verdict
from policy.message import parse
from policy.rule import ANY
from policy.rules import RULES
from policy.type_tokens import normalised
from tests.policy.examples import (
    CLUSTER_GROUP,
    GROUP,
    PARAMETERS,
    ROLE,
    URN,
    Sent,
    Stub,
    a_pack,
    cluster,
    connect_arn,
    diagnostics,
    document,
    group,
    hardened,
    hardened_cluster,
    ids,
    in_process,
    instance,
    member,
    message_of,
    parameter,
    policy,
    replaced,
    secret,
    sent,
    statement,
    without,
)
from tests.policy.fixtures import (
    account,
    carriers,
    certificates,
    gateway,
    grants,
    native,
    networks,
    server_files,
    services,
)

CIPHER = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
TRUST = json.dumps(
    {
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
        ]
    }
)
FOR_BUCKET = document("arn:aws:s3:::bucket/*", "s3:GetObject")

WEAK_GROUP = group(name="weak-1", parameters=replaced("rds.force_ssl", "0"))
WEAK_GROUP |= {"name": "weak", "urn": f"{URN}{GROUP}::weak"}

MYSQL_GROUP = group(family="mysql8.4", parameters=None, name="mysql-1")
MYSQL_GROUP |= {"name": "mysql", "urn": f"{URN}{GROUP}::mysql"}


def other_policy(text: Any) -> Sent:
    return {**policy(text), "name": "other"}


def referring(server: Sent, *groups: str) -> Sent:
    return {**server, "dependencies": {"parameterGroupName": [f"{URN}{GROUP}::{name}" for name in groups]}}


REFUSED: dict[str, tuple[list[Sent], set[str]]] = {
    "public": (hardened(instance(publiclyAccessible=True)), {"P001"}),
    "public in text": (hardened(instance(publiclyAccessible="TRUE")), {"P001"}),
    "public in no boolean": (hardened(instance(publiclyAccessible="maybe")), {"P001"}),
    "public member of a cluster": (hardened_cluster(member(publiclyAccessible=True)), {"P001"}),
    "not encrypted": (hardened(instance(storageEncrypted=False)), {"P002"}),
    "encryption not stated": (hardened(instance(storageEncrypted=None)), {"P002"}),
    "cluster not encrypted": (hardened_cluster(cluster(storageEncrypted=False)), {"P002"}),
    "no IAM": (hardened(instance(iamDatabaseAuthenticationEnabled=False)), {"P014", "N48"}),
    "IAM not stated": (hardened(instance(iamDatabaseAuthenticationEnabled=None)), {"P014", "N48"}),
    "cluster without IAM": (
        hardened_cluster(cluster(iamDatabaseAuthenticationEnabled=False)),
        {"P014", "N48"},
    ),
    "authority of 2019 in a cluster": (hardened_cluster(member(caCertIdentifier="rds-ca-2019")), {"P015"}),
    "authority not stated in a cluster": (hardened_cluster(member(caCertIdentifier=None)), {"N50"}),
    "authority of 2019": (hardened(instance(caCertIdentifier="rds-ca-2019")), {"P015"}),
    "authority unheard of": (hardened(instance(caCertIdentifier="rds-ca-rsa2048-g9")), {"P015"}),
    "authority not stated": (hardened(instance(caCertIdentifier=None)), {"N50"}),
    "password": (hardened(instance(password="swordfish")), {"P025"}),
    "password wrapped": (hardened(instance(password=secret("swordfish"))), {"P025"}),
    "password write-only": (hardened(instance(passwordWo="swordfish")), {"P025"}),
    "password of a cluster": (hardened_cluster(cluster(masterPassword="swordfish")), {"P025"}),
    "no group": (hardened(instance(parameterGroupName=None)), {"N40"}),
    "default group": (hardened(instance(parameterGroupName="default.postgres17")), {"N40"}),
    "default group made of another's name": (
        hardened(referring(instance(parameterGroupName="default.postgres17"), "group")),
        {"N40"},
    ),
    "a weak group beside the one that is referred to first": (
        [*hardened(referring(instance(parameterGroupName="weak-1"), "group", "weak")), WEAK_GROUP],
        {"N41", "P016"},
    ),
    "default group of a cluster": (
        hardened_cluster(cluster(dbClusterParameterGroupName="default.aurora-postgresql17")),
        {"N40"},
    ),
    "TLS not forced": (hardened(group(parameters=replaced("rds.force_ssl", "0"))), {"N41", "P016"}),
    "TLS not stated": (hardened(group(parameters=without("rds.force_ssl"))), {"N41", "P016"}),
    "TLS not stated on 14": (
        hardened(
            group(family="postgres14", parameters=without("rds.force_ssl")), instance(engineVersion="14.18")
        ),
        {"N41", "P016"},
    ),
    "TLS not forced, attached to nothing": ([group(parameters=replaced("rds.force_ssl", "0"))], {"N41"}),
    "TLS not forced in a cluster": (
        hardened_cluster(group(CLUSTER_GROUP, "aurora-postgresql17", replaced("rds.force_ssl", "0"))),
        {"N41", "P016"},
    ),
    "TLS 1.1 in a cluster": (
        hardened_cluster(
            group(CLUSTER_GROUP, "aurora-postgresql17", replaced("ssl_min_protocol_version", "TLSv1.1"))
        ),
        {"N42"},
    ),
    "md5 in a cluster": (
        hardened_cluster(group(CLUSTER_GROUP, "aurora-postgresql17", replaced("password_encryption", "md5"))),
        {"N43"},
    ),
    "applied at once in a cluster": (
        hardened_cluster(
            group(CLUSTER_GROUP, "aurora-postgresql17", replaced("rds.force_ssl", "1", "immediate"))
        ),
        {"N44"},
    ),
    "the article's parameter": (
        hardened(group(parameters=[*without("rds.force_ssl"), parameter("ssl", "1")])),
        {"N41", "P016"},
    ),
    "no parameters at all": (hardened(group(parameters=None)), {"N41", "N42", "N43", "P016"}),
    "TLS 1.1": (hardened(group(parameters=replaced("ssl_min_protocol_version", "TLSv1.1"))), {"N42"}),
    "minimum not stated": (hardened(group(parameters=without("ssl_min_protocol_version"))), {"N42"}),
    "maximum below minimum": (
        hardened(
            group(
                parameters=[
                    *replaced("ssl_min_protocol_version", "TLSv1.3"),
                    parameter("ssl_max_protocol_version", "TLSv1.2"),
                ]
            )
        ),
        {"N42"},
    ),
    "maximum 1.1": (
        hardened(group(parameters=[*PARAMETERS, parameter("ssl_max_protocol_version", "TLSv1.1")])),
        {"N42"},
    ),
    "a cipher with CBC": (
        hardened(group(parameters=replaced("ssl_ciphers", f"{CIPHER},TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"))),
        {"N42"},
    ),
    "OpenSSL's words": (hardened(group(parameters=replaced("ssl_ciphers", "HIGH:!aNULL"))), {"N42"}),
    "ciphers not stated with 1.2": (hardened(group(parameters=without("ssl_ciphers"))), {"N42"}),
    "md5 stored": (hardened(group(parameters=replaced("password_encryption", "md5"))), {"N43"}),
    "md5 accepted": (
        hardened(group(parameters=replaced("rds.accepted_password_auth_method", "md5+scram"))),
        {"N43"},
    ),
    "md5 by default": (
        hardened(group(parameters=without("rds.accepted_password_auth_method"))),
        {"N43"},
    ),
    "applied at once": (
        hardened(group(parameters=replaced("rds.force_ssl", "1", "immediate"))),
        {"N44"},
    ),
    "apply method not stated": (
        hardened(group(parameters=[*without("rds.force_ssl"), {"name": "rds.force_ssl", "value": "1"}])),
        {"N44"},
    ),
    "another family": (hardened(group(family="postgres16")), {"N45"}),
    "another family of a cluster": (
        hardened_cluster(group(CLUSTER_GROUP, "aurora-postgresql16")),
        {"N45"},
    ),
    "every user": (hardened(policy(document(connect_arn("*")))), {"N46"}),
    "users by a pattern": (hardened(policy(document(connect_arn("app_?")))), {"N46"}),
    "user by a variable": (hardened(policy(document(connect_arn("${aws:username}")))), {"N46"}),
    "every server": (hardened(policy(document(connect_arn(server="*")))), {"N46"}),
    "every region": (hardened(policy(document(connect_arn(region="*")))), {"N46"}),
    "everything": (hardened(policy(document("*"))), {"N46"}),
    "every action of the service": (hardened(policy(document(action="rds-db:*"))), {"N46"}),
    "every action": (hardened(policy(document("*", "*"))), {"N46", "P146"}),
    "all but": (
        hardened(policy('{"Statement": {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}}')),
        {"N46", "P146", "P152"},
    ),
    "all resources but": (
        hardened(
            policy(
                '{"Statement": {"Effect": "Allow", "Action": "rds-db:connect", "NotResource": "arn:*:s3*"}}'
            )
        ),
        {"N46", "P152"},
    ),
    "one of two": (hardened(policy(document([connect_arn(), connect_arn("*")]))), {"N46"}),
    "the instance's own ARN": (
        hardened(policy(document([connect_arn(), "arn:aws:rds:eu-central-1:123456789012:db:server"]))),
        {"N46"},
    ),
    "mixed case": (hardened(policy(document(connect_arn("*"), "RDS-DB:Connect"))), {"N46"}),
    "inline in a role": (
        [*hardened(), sent(ROLE, "role", {"inlinePolicies": [{"policy": document(connect_arn("*"))}]})],
        {"N46"},
    ),
    "a map instead of text": (hardened(policy(statement(Resource=[connect_arn("*")]))), {"N46"}),
    "an action that is a secret": (hardened(policy(statement(Action=secret("rds-db:*")))), {"N46"}),
    "keys in lower case": (
        [*hardened(), other_policy({"Statement": [{"effect": "Allow", "action": "*", "resource": "*"}]})],
        {"N46", "P146"},
    ),
    "an action in lower case": (
        [*hardened(), other_policy(statement(Action=None, action="rds-db:*"))],
        {"N46"},
    ),
    "a resource in lower case": (
        [*hardened(), other_policy(statement(Resource=None, resource="*"))],
        {"N46"},
    ),
    "statements that are none": ([*hardened(), other_policy({"Statement": ["Allow"]})], {"N46"}),
    "no document": ([*hardened(), other_policy("no JSON")], {"N46"}),
    "the master": (hardened(policy(document([connect_arn(), connect_arn("pgpl_master")]))), {"N47"}),
    "the master of a cluster": (
        hardened_cluster(policy(document(connect_arn("pgpl_master", "cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ")))),
        {"N47"},
    ),
    "nobody is granted": ([group(), instance()], {"N48"}),
    "granted on another server": (
        hardened(policy(document(connect_arn(server="db-ZZZZZZZZZZZZZZZZZZZZZZZZZZ")))),
        {"N48"},
    ),
}

PASSES: dict[str, list[Sent]] = {
    "the hardened server": hardened(),
    "the hardened cluster": hardened_cluster(),
    "a server that is private by default": hardened(instance(publiclyAccessible=None)),
    "a member that is private by default": hardened_cluster(member(publiclyAccessible=None)),
    "a replica is encrypted as its source": hardened(
        instance(storageEncrypted=None, replicateSourceDb="db-1", dbSubnetGroupName=None)
    ),
    "a cluster from a snapshot": hardened_cluster(cluster(storageEncrypted=None, snapshotIdentifier="s")),
    "another engine": [instance(engine="mysql", parameterGroupName=None, engineVersion="8.4"), policy()],
    "a group for another engine": [*hardened(), MYSQL_GROUP],
    "an instance's group of Aurora": [
        *hardened_cluster(),
        {**group(family="aurora-postgresql17", parameters=None), "name": "m"},
    ],
    "TLS 1.3 needs no ciphers of 1.2": hardened(
        group(parameters=[*without("ssl_ciphers", "ssl_min_protocol_version"),
                          parameter("ssl_min_protocol_version", "TLSv1.3")])
    ),
    "another order": hardened(group(parameters=PARAMETERS[::-1])),
    "a number": hardened(group(parameters=replaced("rds.force_ssl", 1))),
    "a boolean": hardened(group(parameters=replaced("rds.force_ssl", True))),
    "a version as a number": hardened(instance(engineVersion=17)),
    "a minor version": hardened(instance(engineVersion="17.6")),
    "mixed case": hardened(
        group(parameters=replaced("ssl_min_protocol_version", "tlsv1.2")),
        instance(storageEncrypted="True", caCertIdentifier="RDS-CA-RSA2048-G1"),
    ),
    "an upper-case family": hardened(group(family="Postgres17")),
    "China": hardened(policy(document(connect_arn(partition="aws-cn", region="cn-north-1")))),
    "GovCloud": hardened(policy(document(connect_arn(partition="aws-us-gov", region="us-gov-west-1")))),
    "an isolated region": hardened(
        policy(document(connect_arn(partition="aws-iso-b", region="us-isob-east-1")))
    ),
    "Europe's own": hardened(policy(document(connect_arn(partition="aws-eusc", region="eusc-de-east-1")))),
    "a map": hardened(policy(statement())),
    "a map with secrets": hardened(
        policy(statement(Action=[secret("rds-db:connect")], Resource=secret([connect_arn()])))
    ),
    "a group referred to among others": [
        *hardened(referring(instance(), "weak", "group")),
        {**WEAK_GROUP, "properties": {**group()["properties"], "name": "weak-1"}},
    ],
    "a denied wildcard": [*hardened(), {**policy(document("*", effect="Deny")), "name": "deny"}],
    "reading a bucket": [*hardened(), {**policy(FOR_BUCKET), "name": "bucket"}],
    "a server by a proxy": [
        *hardened(),
        {**policy(document(connect_arn(server="prx-0123456789abcdef0"))), "name": "proxy"},
    ],
    "a role without inline policies": [*hardened(), sent(ROLE, "role", {"assumeRolePolicy": TRUST})],
    "a type from a newer provider": [*hardened(), sent("aws:rds/newThing:NewThing", "new", {"ssl": False})],
    "a component": [*hardened(), sent("passwordless-postgres:index:RdsPostgres", "rds", {})],
}  # fmt: skip


for fixture in (gateway, account, grants, certificates, server_files, networks, native, carriers, services):
    REFUSED |= {
        f"{title} ({fixture.__name__.rpartition('.')[2]})": each for title, each in fixture.REFUSED.items()
    }
    PASSES |= {
        f"{title} ({fixture.__name__.rpartition('.')[2]})": each for title, each in fixture.PASSES.items()
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    resources, expected = REFUSED[name]
    found = [(each, message_of(each)) for each in diagnostics(Stub(), resources)]
    assert Verdict.CRASHED not in {message.verdict for _, message in found}
    refused = [(each, message) for each, message in found if message.verdict is Verdict.VIOLATED]
    assert {each.policyName.removeprefix("PGTLS-") for each, _ in refused} == expected
    for diagnostic, message in refused:
        assert parse(diagnostic.message).format() == diagnostic.message
        assert diagnostic.policyName not in diagnostic.message, "the engine shows it above"
        assert message.place
        assert message.fix


@pytest.mark.parametrize("name", PASSES)
def test_what_passes(name: str) -> None:
    assert diagnostics(Stub(), PASSES[name]) == []


def test_every_rule_has_something_that_it_refuses() -> None:
    covered = set().union(*(expected for _, expected in REFUSED.values()))
    # PGTLS-N94 only ever leaves undecided.
    assert {f"PGTLS-{each}" for each in covered} == {rule.id for rule in RULES} - {"PGTLS-N94"}


def test_every_rule_passes_something_of_each_of_its_types() -> None:
    seen = {normalised(each["type"]) for resources in PASSES.values() for each in resources}
    unseen = {token for rule in RULES if rule.id != "PGTLS-N94" for token in rule.types} - {ANY} - seen
    assert unseen == {
        "aws:iam/policy:Policy",
        "aws:iam/userPolicy:UserPolicy",
        "aws:iam/groupPolicy:GroupPolicy",
        "aws:ec2/defaultVpc:DefaultVpc",
    }, "the last is refused for being there"


@pytest.mark.parametrize("kind", ["policy:Policy", "userPolicy:UserPolicy", "groupPolicy:GroupPolicy"])
def test_other_kinds_of_policies_are_read_as_well(kind: str) -> None:
    good = {**policy(), "type": f"aws:iam/{kind}"}
    assert in_process(hardened(good)) == set()
    bad = {**policy(document(connect_arn("*"))), "type": f"aws:iam/{kind}"}
    assert ids(in_process(hardened(bad))) == {"N46"}


def test_ids_are_unique_and_rules_are_in_order() -> None:
    names = [rule.id for rule in a_pack().rules]
    assert names == sorted(set(names))
