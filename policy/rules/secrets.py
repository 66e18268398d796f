"""Keys of KMS, secrets, parameters, and credentials of providers."""

from __future__ import annotations

from collections.abc import Iterator

from policy.embedded_text import private_keys_in
from policy.policy_document import Statement, allowing
from policy.registered import Resource
from policy.requirement import inside, must_not_be_given, must_not_be_true, throughout
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import Value

KEY = "aws:kms/key:Key"
KEY_POLICY = "aws:kms/keyPolicy:KeyPolicy"
SECRET = "aws:secretsmanager/secret:Secret"
SECRET_POLICY = "aws:secretsmanager/secretPolicy:SecretPolicy"
ROTATION = "aws:secretsmanager/secretRotation:SecretRotation"
PARAMETER = "aws:ssm/parameter:Parameter"
PROVIDER = "pulumi:providers:aws"
_KMS = "https://docs.aws.amazon.com/kms/latest/developerguide"
_SECRETS = "https://docs.aws.amazon.com/secretsmanager/latest/userguide"
_PARAMETERS = "https://docs.aws.amazon.com/systems-manager/latest/userguide"
_LONGEST_DAYS = 90
_VALUES = ("value", "valueWo", "insecureValue")


def _names_principals(resource: Resource) -> Iterator[Outcome]:
    def judge(statement: Statement) -> Iterator[Outcome]:
        for principal in statement.principals:
            if principal.text() == "*" and not statement.condition.given:
                yield Problem(at=principal, reason="expected principals by name, or a condition")

    if resource["policy"].given:
        yield from allowing(resource["policy"], judge, unreadable=True)


def _rotates_in_time(rotation: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        if value.given and (value.number() or _LONGEST_DAYS + 1) > _LONGEST_DAYS:
            yield Problem(at=value, reason=f"expected {_LONGEST_DAYS} days or less")

    yield from throughout(inside(rotation, "rotationRules.automaticallyAfterDays"), judge)


def _is_secure(parameter: Resource) -> bool:
    return parameter["type"].text().lower() == "securestring"


def _secret_is_secure(parameter: Resource) -> Iterator[Outcome]:
    if _is_secure(parameter):
        return
    for name in _VALUES:
        value = parameter[name]
        if value.secret and not (value.is_known and private_keys_in(value)):
            yield Problem(at=parameter["type"], reason=f"expected SecureString, since {name} is a secret")


def _key_is_sealed(parameter: Resource) -> Iterator[Outcome]:
    for name in _VALUES:
        value = parameter[name]
        keys = private_keys_in(value) if value.given else []
        if not keys:
            continue
        if name == "insecureValue":
            yield Problem(at=keys[0], reason="it holds a private key; expected value, not insecureValue")
        elif not _is_secure(parameter):
            yield Problem(at=parameter["type"], reason="expected SecureString for a private key")
        elif not parameter["keyId"].given:
            yield Problem(at=parameter["keyId"], reason="expected a key of one's own in KMS")


RULES = (
    Rule(
        id="PGTLS-P134",
        title="A key's policy names who may use it",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(KEY, KEY_POLICY),
        checks=(_names_principals,),
        why="Principal * is every account.",
        fix="name principals, or bind them by a condition such as kms:CallerAccount",
        link=f"{_KMS}/key-policies.html",
        references=("SH:KMS.5",),
    ),
    Rule(
        id="PGTLS-P139",
        title="A key's policy cannot lock everybody out",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(KEY,),
        checks=(must_not_be_true("bypassPolicyLockoutSafetyCheck"),),
        why="What the key encrypts would be lost.",
        fix="remove bypassPolicyLockoutSafetyCheck",
        link=f"{_KMS}/key-policy-default.html",
    ),
    Rule(
        id="PGTLS-P142",
        title=f"A secret is rotated every {_LONGEST_DAYS} days at least",
        area=Area.SECRETS,
        severity=Severity.MEDIUM,
        types=(ROTATION,),
        checks=(_rotates_in_time,),
        why="The longer a secret is good, the more often it has been copied.",
        fix=f"set rotationRules.automaticallyAfterDays to {_LONGEST_DAYS} or less",
        link=f"{_SECRETS}/rotating-secrets.html",
        references=("SH:SecretsManager.4",),
    ),
    Rule(
        id="PGTLS-P143",
        title="A secret's policy names who may read it",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(SECRET_POLICY, SECRET),
        checks=(_names_principals,),
        why="Principal * is every account.",
        fix="name principals, and set blockPublicPolicy to true",
        link=f"{_SECRETS}/auth-and-access_resource-policies.html",
    ),
    Rule(
        id="PGTLS-P144",
        title="A secret in Systems Manager is a SecureString",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(PARAMETER,),
        checks=(_secret_is_secure,),
        why="A String is readable by whoever lists parameters with their values.",
        fix="set type to SecureString, better: keep it in Secrets Manager",
        link=f"{_PARAMETERS}/systems-manager-parameter-store.html",
        references=("CKV2_AWS_34",),
    ),
    Rule(
        id="PGTLS-N32",
        title="A private key in Systems Manager is sealed with a key of one's own",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(PARAMETER,),
        checks=(_key_is_sealed,),
        why="Whoever may read parameters would hold the key.",
        fix="use value, type SecureString and keyId; better: keep it in Secrets Manager",
        link=f"{_PARAMETERS}/secure-string-parameter-kms-encryption.html",
    ),
    Rule(
        id="PGTLS-P170",
        title="The provider of AWS holds no keys",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(PROVIDER,),
        checks=(
            must_not_be_given("accessKey", "expected a profile or a role"),
            must_not_be_given("secretKey", "expected a profile or a role"),
        ),
        why="Keys in the program are in its state, its history and its reviews, and do not expire.",
        fix="remove accessKey and secretKey; use the environment's role, OIDC or a profile",
        link="https://www.pulumi.com/registry/packages/aws/installation-configuration/",
    ),
)
