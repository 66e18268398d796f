"""Inputs that break naive rules: unknown and secret values, aliases, odd shapes; and rules that crash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from policy.finding import Verdict
from policy.pack import UNDECIDED as UNDECIDED_POLICY
from policy.resources import Resource
from policy.rule import Outcome, Severity
from policy.rules import RULES, iam, policy_conditions
from policy.type_tokens import normalised
from policy.values import UNKNOWN as DECODED_UNKNOWN
from policy.values import Secret, decoded
from tests.policy.examples import (
    GROUP,
    INSTANCE,
    PARAMETERS,
    ROLE,
    SIGNATURE,
    UNKNOWN,
    UNKNOWNS,
    URN,
    Sent,
    Stub,
    a_pack,
    analyze_request,
    connect_arn,
    diagnostics,
    document,
    group,
    hardened,
    ids,
    in_process,
    instance,
    message_of,
    parameter,
    policy,
    replaced,
    secret,
    sent,
    statement,
    violated,
    without,
)

ABOUT_DOCUMENTS = {
    rule.id.removeprefix("PGTLS-") for module in (iam, policy_conditions) for rule in module.RULES
}
"""Rules that read every policy document, and so are undecided as well."""


def group_named(name: str) -> Sent:
    return {**group(name=f"{name}-1"), "name": name, "urn": f"{URN}{GROUP}::{name}"}


def two_groups(server: Sent) -> Sent:
    urns = [f"{URN}{GROUP}::{name}" for name in ("group", "second")]
    return {**server, "dependencies": {"parameterGroupName": urns}}


UNDECIDED: dict[str, tuple[list[Sent], set[str]]] = {
    "publiclyAccessible": (hardened(instance(publiclyAccessible=UNKNOWN)), {"P001"}),
    "storageEncrypted": (hardened(instance(storageEncrypted=UNKNOWN)), {"P002"}),
    "iamDatabaseAuthenticationEnabled": (
        hardened(instance(iamDatabaseAuthenticationEnabled=UNKNOWN)),
        {"P014", "N48"},
    ),
    "caCertIdentifier": (hardened(instance(caCertIdentifier=UNKNOWN)), {"P015"}),
    "engine": (
        hardened(instance(engine=UNKNOWN)),
        {"N40", "N45", "N47", "N48", "P007", "P014", "P016", "P022", "P024"},
    ),
    "engineVersion": (hardened(instance(engineVersion=UNKNOWN)), {"N45", "P022", "P024"}),
    "engineVersion not stated": (hardened(instance(engineVersion=None)), {"N45"}),
    "username": (hardened(instance(username=UNKNOWN)), {"N47", "P018"}),
    "parameterGroupName": (hardened(instance(parameterGroupName=UNKNOWN)), {"N40", "P016"}),
    "a group of another stack": (hardened(instance(parameterGroupName="elsewhere")), {"P016"}),
    "policy": (hardened(policy(UNKNOWN)), {"N46", "N47", "N48"}),
    "policy beside one that is known": (
        [*hardened(), {**policy(UNKNOWN), "name": "other"}],
        {"N46", "N47"},
    ),
    "a document's statements": (hardened(policy({"Statement": UNKNOWN})), {"N46", "N47", "N48"}),
    "a statement": (hardened(policy({"Statement": [UNKNOWN]})), {"N46", "N47", "N48"}),
    "an effect": (hardened(policy(statement(Effect=UNKNOWN))), {"N46", "N47", "N48"}),
    "an action": (hardened(policy(statement(Action=UNKNOWN))), {"N46", "N47", "N48"}),
    "one of the actions": (
        hardened(policy(statement(Action=["s3:GetObject", UNKNOWN]))),
        {"N46", "N47", "N48"},
    ),
    "a resource": (hardened(policy(statement(Resource=UNKNOWN))), {"N46", "N47", "N48"}),
    "one of the resources": (hardened(policy(statement(Resource=[UNKNOWN, connect_arn()]))), {"N46", "N47"}),
    "inline policies": ([*hardened(), sent(ROLE, "role", {"inlinePolicies": UNKNOWN})], {"N46", "N47"}),
    "one of two groups": (
        [*hardened(two_groups(instance(parameterGroupName=UNKNOWN))), group_named("second")],
        {"N40", "N45", "P016"},
    ),
    "one of two groups of the same name, as in two regions": (
        [*hardened(), {**group_named("second"), "properties": group()["properties"]}],
        {"N40", "N45", "P016"},
    ),
    "family": (hardened(group(family=UNKNOWN)), {"N41", "N42", "N43", "N44", "N45"}),
    "parameters": (hardened(group(parameters=UNKNOWN)), {"N41", "N42", "N43", "N44", "P016", "P017"}),
    "a parameter's value": (hardened(group(parameters=replaced("rds.force_ssl", UNKNOWN))), {"N41", "P016"}),
    "one apply method": (
        hardened(group(parameters=replaced("rds.force_ssl", "1", UNKNOWN))),
        {"N44"},
    ),
    "one parameter's name": (
        hardened(group(parameters=[*without("rds.force_ssl"), parameter(UNKNOWN, "1")])),
        {"N41", "N42", "N44", "P016"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDECIDED)
def test_an_unknown_is_undecided_and_never_passes(name: str) -> None:
    resources, expected = UNDECIDED[name]
    verdicts = in_process(resources)
    undecided = ids(verdicts, "undecided")
    assert undecided - ABOUT_DOCUMENTS == expected
    assert ids(verdicts) == ids(verdicts, "crashed") == set()
    found = diagnostics(Stub(), resources)
    messages = [message_of(each) for each in found]
    assert {each.policyName for each in found} == {UNDECIDED_POLICY}
    assert {each.severity for each in found} == {0}, "it has no severity"
    assert {rule.id.removeprefix("PGTLS-") for each in messages for rule in each.rules} == undecided
    assert {each.enforcementLevel for each in found} == {0}, "undecided is advisory"
    assert {each.verdict for each in messages} == {Verdict.UNDECIDED}


def test_one_unknown_is_said_once_with_every_rule_that_needs_it_the_gravest_first() -> None:
    [found] = Stub().Analyze(analyze_request(policy(UNKNOWN))).diagnostics
    rules = message_of(found).rules
    assert {rule.id.removeprefix("PGTLS-") for rule in rules} == {"N46"} | ABOUT_DOCUMENTS & {
        rule.id.removeprefix("PGTLS-") for rule in RULES if rule.is_about("aws:iam/rolePolicy:RolePolicy")
    }
    gravity = [list(Severity).index(rule.severity) for rule in rules]
    assert gravity == sorted(gravity)
    assert found.message.startswith(f"Undecided: {len(rules)} rules wait for the value of `policy`. Rules: ")


@pytest.mark.parametrize("unknown", UNKNOWNS)
def test_every_kind_of_unknown_is_one(unknown: str) -> None:
    assert decoded({"a": [unknown, {"b": unknown}]}) == {"a": [DECODED_UNKNOWN, {"b": DECODED_UNKNOWN}]}
    assert ids(in_process(hardened(instance(storageEncrypted=unknown))), "undecided") == {"P002"}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"secret": True, "value": "x"}, Secret("x")),
        ({"secret": False, "value": 5.0}, 5),
        ({"secret": True}, Secret(DECODED_UNKNOWN)),
        ({}, DECODED_UNKNOWN),
    ],
)
def test_an_output_is_decoded(output: dict[str, Any], expected: object) -> None:
    wrapped = {SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4", **output}
    assert decoded({"a": wrapped}) == {"a": expected}


def test_an_unknown_name_is_decided_by_the_reference() -> None:
    server = instance(parameterGroupName=UNKNOWN)
    server["dependencies"] = {"parameterGroupName": [f"{URN}{GROUP}::group"]}
    assert in_process(hardened(server)) == set()
    weak = group(parameters=replaced("rds.force_ssl", "0"))
    assert ids(in_process(hardened(server, weak))) == {"N41", "P016"}
    assert violated(diagnostics(Stub(), hardened(server, weak))) == {"N41", "P016"}


def test_an_unknown_stops_no_other_finding() -> None:
    resources = hardened(
        instance(storageEncrypted=UNKNOWN, publiclyAccessible=True),
        group(parameters=[*replaced("ssl_min_protocol_version", UNKNOWN), parameter("ssl", "1")]),
    )
    second = instance(caCertIdentifier="rds-ca-2019")
    resources.append({**second, "name": "second", "urn": f"{URN}{INSTANCE}::second"})
    verdicts = in_process(resources)
    assert ids(verdicts, "undecided") == {"P002", "N42"}
    assert ids(verdicts) == {"P001", "P015"}


@pytest.mark.parametrize(
    "weak",
    [
        policy(statement(Resource=[UNKNOWN, connect_arn("*"), connect_arn("pgpl_master")])),
        policy({"Statement": [UNKNOWN, *statement(Resource=["*", connect_arn("pgpl_master")])["Statement"]]}),
        sent(
            ROLE,
            "role",
            {"inlinePolicies": [UNKNOWN, {"policy": document(["*", connect_arn("pgpl_master")])}]},
        ),
    ],
)
def test_an_unknown_in_a_document_stops_nothing_behind_it(weak: Sent) -> None:
    verdicts = in_process(hardened(weak))
    assert {"N46", "N47"} == ids(verdicts) == ids(verdicts, "undecided") - ABOUT_DOCUMENTS


@pytest.mark.parametrize(
    "weak",
    [
        instance(password="swordfish"),
        instance(password=secret("swordfish")),
        instance(caCertIdentifier=secret("swordfish")),
        instance(publiclyAccessible=secret("swordfish")),
        group(parameters=secret(replaced("password_encryption", "swordfish"))),
        group(parameters=replaced("rds.force_ssl", secret("swordfish"))),
        group(parameters=secret(replaced("rds.force_ssl", "1", "swordfish"))),
        policy(secret(document(connect_arn("swordfish*")))),
        policy(secret(document("arn:aws:rds-db:swordfish"))),
        policy(secret("swordfish")),
        policy(statement(Action=secret("rds-db:*"), Sid="swordfish")),
        policy(statement(Resource=[secret("arn:aws:rds-db:swordfish")])),
        policy(secret(f'{{"Statement": "swordfish", "Id": "{connect_arn()}"}}')),
    ],
)
def test_no_secret_is_in_a_message(weak: Sent) -> None:
    found = diagnostics(Stub(), hardened(weak))
    assert violated(found)
    assert not [each.message for each in found if "swordfish" in each.message]
    named = [message for each in found if (message := message_of(each)).place]
    assert any(each.value in ("a secret", "") for each in named), "hidden, or a place in a text"


def test_a_secret_that_is_right_passes() -> None:
    resources = hardened(
        instance(storageEncrypted=secret(True), caCertIdentifier=secret("rds-ca-ecc384-g1")),
        group(parameters=secret(PARAMETERS)),
        policy(secret(document())),
    )
    assert in_process(resources) == set()


def test_a_message_says_what_where_and_how() -> None:
    message = next(iter(diagnostics(Stub(), [group(parameters=replaced("rds.force_ssl", "0"))]))).message
    assert message.startswith(
        "parameters[rds.force_ssl].value is '0': expected 1. Fix: set rds.force_ssl to 1"
    )
    assert "PGTLS-N41" not in message
    assert "ParameterGroup" not in message, "the engine shows both above"
    assert message.endswith("See: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/"
                            "PostgreSQL.Concepts.General.SSL.html")  # fmt: skip


def test_a_long_or_odd_value_is_cut_and_stays_on_its_line() -> None:
    found = diagnostics(Stub(), hardened(instance(caCertIdentifier="a\n\x1b[31m" + "b" * 5000)))
    (message,) = [each.message for each in found]
    assert len(message) < 1000
    assert "\n" not in message
    assert "\x1b" not in message


@pytest.mark.parametrize(
    "odd",
    [{}, [], "", 0, 1.5, True, {"a": {}}, [[]], [None], [{}], ["text"], [{"name": None}], [{"name": "ssl"}]],
)
@pytest.mark.parametrize("name", ["parameters", "family", "tags"])
def test_odd_shapes_of_a_group_crash_nothing(name: str, odd: Any) -> None:
    verdicts = in_process(hardened(group(**{name: odd})))
    assert ids(verdicts, "crashed") == set()
    if name == "parameters":
        assert {"N41", "N42", "N43", "P016"} <= ids(verdicts)


@pytest.mark.parametrize("odd", [{}, [], "", 0, 1.5, {"a": {}}, [None], "text"])
def test_odd_shapes_of_a_server_and_a_policy_crash_nothing(odd: Any) -> None:
    changed = ("publiclyAccessible", "storageEncrypted", "engine", "engineVersion", "parameterGroupName",
               "iamDatabaseAuthenticationEnabled", "caCertIdentifier", "username", "resourceId")  # fmt: skip
    for name in changed:
        assert ids(in_process(hardened(instance(**{name: odd}))), "crashed") == set()
    for text in (odd, {"Statement": odd}, {"Statement": [odd]}, {"Statement": [{"Effect": odd}]}):
        assert ids(in_process(hardened(policy(text))), "crashed") == set()


def test_nothing_at_all_passes() -> None:
    assert in_process([]) == set()


@pytest.mark.parametrize(
    ("token", "known_as"),
    [
        ("aws:rds:Instance", "aws:rds/instance:Instance"),
        ("aws:rds/instance:Instance", "aws:rds/instance:Instance"),
        ("aws:rds/parameterGroup:ParameterGroup", "aws:rds/parameterGroup:ParameterGroup"),
        ("aws:alb/listener:Listener", "aws:lb/listener:Listener"),
        ("aws:elasticloadbalancingv2/targetGroup:TargetGroup", "aws:lb/targetGroup:TargetGroup"),
        ("aws:applicationloadbalancing/listener:Listener", "aws:lb/listener:Listener"),
        ("aws:s3/bucketV2:BucketV2", "aws:s3/bucket:Bucket"),
        ("aws:s3/bucketPolicy:BucketPolicy", "aws:s3/bucketPolicy:BucketPolicy"),
        ("aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketObjectv2:BucketObjectv2"),
        ("pulumi:pulumi:Stack", "pulumi:pulumi:Stack"),
        ("tls:index/privateKey:PrivateKey", "tls:index/privateKey:PrivateKey"),
        ("odd", "odd"),
    ],
)
def test_tokens_of_one_type(token: str, known_as: str) -> None:
    assert normalised(token) == known_as


def test_an_alias_token_does_not_hide_a_resource() -> None:
    weak = {**instance(storageEncrypted=False), "type": "aws:rds:Instance"}
    assert ids(in_process(hardened(weak))) == {"P002"}


def test_a_crashing_rule_is_a_violation_and_stops_no_other() -> None:
    def crash(server: Resource) -> Iterator[Outcome]:
        raise KeyError(server["password"].raw)
        yield

    crashing = replace(RULES[0], id="PGTLS-N99", checks=(crash,), stack_checks=(), types=(INSTANCE,))
    pack = a_pack(rules=(crashing, *RULES))
    resources = hardened(instance(password="swordfish", publiclyAccessible=True))
    verdicts = in_process(resources, pack)
    assert ids(verdicts, "crashed") == {"N99"}
    assert ids(verdicts) == {"P001", "P025"}
    found = [each for each in diagnostics(Stub(pack), resources) if each.policyName == "PGTLS-N99"]
    assert [each.enforcementLevel for each in found] == [1]
    assert "KeyError in test_inputs.py, line " in found[0].message
    assert "swordfish" not in found[0].message


def test_a_thousand_resources_are_all_seen() -> None:
    many = [
        {**instance(storageEncrypted=number != 700), "name": f"server-{number}", "urn": f"{URN}{number}"}
        for number in range(1000)
    ]
    assert in_process([*hardened(), *many]) == {("P002", "server-700", "violated")}
