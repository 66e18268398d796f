"""Secrets Manager: who may read a secret, and how often it is rotated."""

from __future__ import annotations

import json
from collections.abc import Iterator

from policy.property_checks import in_production, inside, must_be_given
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.policy_document import in_policy, not_everybody
from policy.type_tokens import SECRET_VERSION
from policy.values import Value, throughout

SECRET = "aws:secretsmanager/secret:Secret"
SECRET_POLICY = "aws:secretsmanager/secretPolicy:SecretPolicy"
ROTATION = "aws:secretsmanager/secretRotation:SecretRotation"
_SECRETS = "https://docs.aws.amazon.com/secretsmanager/latest/userguide"
_LONGEST_DAYS = 90


def _rotates_in_time(rotation: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        if value.given and (value.number() or _LONGEST_DAYS + 1) > _LONGEST_DAYS:
            yield Problem(at=value, reason=f"expected {_LONGEST_DAYS} days or less")

    yield from throughout(inside(rotation, "rotationRules.automaticallyAfterDays"), judge)


def _holds_a_password(version: Resource) -> bool:
    """Whether a secret is JSON with a password, as RDS and its rotation functions write it."""
    for name in ("secretString", "secretStringWo"):
        value = version[name]
        if not value.is_known or not value.given:
            continue
        try:
            content = json.loads(value.text())
        except ValueError:
            continue
        if isinstance(content, dict) and any(str(key).lower() == "password" for key in content):
            return True
    return False


def _password_is_rotated(secret: Resource, stack: Stack) -> Iterator[Outcome]:
    versions = stack.referring(SECRET_VERSION, "secretId", secret)
    if any(_holds_a_password(each) for each in versions) and not stack.referring(
        ROTATION, "secretId", secret
    ):
        yield Problem(
            at=secret["name"], reason="expected a SecretRotation, since a version of it holds a password"
        )


RULES = (
    Rule(
        id="PGTLS-P140",
        title="Secrets of production are encrypted with a key of one's own",
        area=Area.ENCRYPTION,
        severity=Severity.MEDIUM,
        types=(SECRET,),
        checks=(must_be_given("kmsKeyId", "expected a key of the account", when=in_production),),
        why="With AWS's own key, everybody in the account who may read the secret may decrypt it.",
        fix="set kmsKeyId to a KMS key",
        link=f"{_SECRETS}/security-encryption.html",
        references=("CKV_AWS_149",),
    ),
    Rule(
        id="PGTLS-P141",
        title="Passwords in secrets are rotated",
        area=Area.SECRETS,
        severity=Severity.MEDIUM,
        types=(SECRET,),
        stack_checks=(_password_is_rotated,),
        why="A password that somebody copied works until it changes.",
        fix="add a SecretRotation; better, let RDS manage the password, or use IAM or certificates",
        link=f"{_SECRETS}/rotating-secrets.html",
        references=("SH:SecretsManager.1", "CKV2_AWS_57"),
    ),
    Rule(
        id="PGTLS-P142",
        title=f"Secrets are rotated every {_LONGEST_DAYS} days or more often",
        area=Area.SECRETS,
        severity=Severity.MEDIUM,
        types=(ROTATION,),
        checks=(_rotates_in_time,),
        why="The longer a secret is valid, the more copies of it exist.",
        fix=f"set rotationRules.automaticallyAfterDays to {_LONGEST_DAYS} or less",
        link=f"{_SECRETS}/rotating-secrets.html",
        references=("SH:SecretsManager.4",),
    ),
    Rule(
        id="PGTLS-P143",
        title="Secret policies name who may read the secret",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(SECRET_POLICY, SECRET),
        checks=(in_policy(not_everybody, unreadable=True),),
        why="Principal * means every AWS account.",
        fix="list the principals, and set blockPublicPolicy to true",
        link=f"{_SECRETS}/auth-and-access_resource-policies.html",
    ),
)
