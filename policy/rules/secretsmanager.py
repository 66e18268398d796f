"""Secrets Manager: who may read a secret, and how often it is rotated."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import inside
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.policy_document import in_policy, not_everybody
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


RULES = (
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
