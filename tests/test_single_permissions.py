"""What one permission on everything opens by itself: docs/threat-model.md has a row for each of them.

The policies are those that the program registers for each stack file, and decided as IAM decides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from emulator.iam.policy import Caller, Decision, Request, decide, parse_policy
from tests.recording_monitor import ACCOUNT_ID, Recording, Registration, plain
from tests.test_program import PROJECT, STACKS, sections_of

STRANGER = f"arn:aws:iam::{ACCOUNT_ID}:role/one-permission"
WRITES_OBJECT = (
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectVersionAcl",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
)
WRITES_SECRET = (
    "secretsmanager:DeleteSecret",
    "secretsmanager:PutResourcePolicy",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecret",
    "secretsmanager:UpdateSecretVersionStage",
)
OF_THE_AGENT_OF_SYSTEMS_MANAGER = (
    "ec2messages:GetMessages",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:OpenDataChannel",
)


@dataclass(frozen=True)
class Guarded:
    """A resource and the policy on it."""

    arn: str
    policy: str
    urn: str


def decision(action: str, resource: str, guard: str | None = None, principal: str = STRANGER) -> Decision:
    """What IAM decides for a principal that may do this one action on everything."""
    return decide(
        Request(
            caller=Caller(arn=principal, principal_arn=principal, account=ACCOUNT_ID),
            action=action,
            resource=resource,
            context={"aws:PrincipalArn": principal, "aws:SecureTransport": "true"},
        ),
        [parse_policy({"Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}})],
        parse_policy(guard) if guard else (),
        needs_resource_policy=action == "sts:AssumeRole",
    )


@pytest.fixture(params=STACKS)
def program(request: pytest.FixtureRequest, programs: dict[str, Recording]) -> tuple[str, Recording]:
    return request.param, programs[request.param]


def of_type(recording: Recording, token: str) -> list[Registration]:
    return [each for each in recording.registrations if each.type == token]


def objects(recording: Recording) -> list[Guarded]:
    """Every object that the program puts, with its bucket's policy."""
    policies = {
        plain(each.inputs)["bucket"]: plain(each.inputs)["policy"]
        for each in of_type(recording, "aws:s3/bucketPolicy:BucketPolicy")
    }
    found = []
    for each in of_type(recording, "aws:s3/bucketObjectv2:BucketObjectv2"):
        inputs = plain(each.inputs)
        policy = policies[inputs["bucket"]]
        bucket = next(
            statement["Resource"][0]
            for statement in json.loads(policy)["Statement"]
            if statement["Sid"] == "TlsOnly"
        )
        found.append(Guarded(arn=f"{bucket}/{inputs['key']}", policy=policy, urn=each.urn))
    return found


def secrets(recording: Recording) -> list[Guarded]:
    return [
        Guarded(arn=plain(each.inputs)["secretArn"], policy=plain(each.inputs)["policy"], urn=each.urn)
        for each in of_type(recording, "aws:secretsmanager/secretPolicy:SecretPolicy")
    ]


def trust_policies(recording: Recording) -> dict[str, str]:
    """By name of the resource."""
    return {
        each.name: plain(each.inputs)["assumeRolePolicy"] for each in of_type(recording, "aws:iam/role:Role")
    }


@pytest.mark.parametrize("action", WRITES_OBJECT)
def test_who_may_write_any_object_writes_none_that_a_program_reads(
    program: tuple[str, Recording], action: str
) -> None:
    stack, recording = program
    found = objects(recording)
    assert found, f"{stack} puts no object"
    for each in found:
        assert decision(action, each.arn, each.policy) is Decision.RESOURCE_DENY, each.urn
    deployer = sections_of(stack)[f"{PROJECT}:certificates"]["administrators"][0]
    for each in found:
        assert decision(action, each.arn, each.policy, deployer) is Decision.ALLOWED, each.urn


@pytest.mark.parametrize("action", [*WRITES_SECRET, "secretsmanager:GetSecretValue"])
def test_who_may_write_or_read_any_secret_neither_writes_nor_reads_an_identity(
    program: tuple[str, Recording], action: str
) -> None:
    for each in secrets(program[1]):
        assert decision(action, each.arn, each.policy) is Decision.RESOURCE_DENY, each.urn


def test_who_may_send_commands_finds_no_agent_that_may_fetch_them(program: tuple[str, Recording]) -> None:
    _, recording = program
    assert not of_type(recording, "aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    for role in of_type(recording, "aws:iam/role:Role"):
        assert not plain(role.inputs).get("managedPolicyArns"), role.urn
    for each in of_type(recording, "aws:iam/rolePolicy:RolePolicy"):
        statements = parse_policy(plain(each.inputs)["policy"])
        for action in OF_THE_AGENT_OF_SYSTEMS_MANAGER:
            machine = Request(
                caller=Caller(arn=STRANGER, principal_arn=STRANGER, account=ACCOUNT_ID),
                action=action,
                resource="*",
            )
            assert decide(machine, [statements]) is Decision.NO_IDENTITY_ALLOW, each.urn


def test_who_may_pass_any_role_cannot_take_one_on(program: tuple[str, Recording]) -> None:
    stack, recording = program
    declared = json.dumps(sections_of(stack))
    for name, policy in trust_policies(recording).items():
        trusted = {
            principal
            for statement in json.loads(policy)["Statement"]
            for principal in statement["Principal"].get("AWS", ())
        }
        assert all(principal in declared for principal in trusted), name
        assert decision("sts:AssumeRole", name, policy) is Decision.NO_RESOURCE_ALLOW, name
