"""Systems Manager Parameter Store: secrets and private keys in parameters."""

from __future__ import annotations

from collections.abc import Iterator

from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.embedded_text import private_keys_in
from policy.type_tokens import SSM_PARAMETER

_PARAMETERS = "https://docs.aws.amazon.com/systems-manager/latest/userguide"
_VALUES = ("value", "valueWo", "insecureValue")


def _is_secure(parameter: Resource) -> bool:
    return parameter["type"].text().lower() == "securestring"


def _secret_is_secure(parameter: Resource) -> Iterator[Outcome]:
    if _is_secure(parameter):
        return
    for name in _VALUES:
        value = parameter[name]
        if value.secret and not (value.is_known and private_keys_in(value)):
            yield Problem(at=parameter["type"], reason=f"expected SecureString, since {name} is a secret")


def _private_key_is_encrypted(parameter: Resource) -> Iterator[Outcome]:
    for name in _VALUES:
        value = parameter[name]
        keys = private_keys_in(value) if value.given else []
        if not keys:
            continue
        if name == "insecureValue":
            yield Problem(at=keys[0], reason="it holds a private key; expected value, not insecureValue")
        elif not _is_secure(parameter):
            yield Problem(
                at=parameter["type"], reason="expected SecureString, since the value is a private key"
            )
        elif not parameter["keyId"].given:
            yield Problem(at=parameter["keyId"], reason="expected a customer managed key")


RULES = (
    Rule(
        id="PGTLS-P144",
        title="Secrets in Parameter Store are SecureStrings",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(SSM_PARAMETER,),
        checks=(_secret_is_secure,),
        why="Everybody who may read parameters can read a String.",
        fix="set type to SecureString; better, use Secrets Manager",
        link=f"{_PARAMETERS}/systems-manager-parameter-store.html",
        references=("CKV2_AWS_34",),
    ),
    Rule(
        id="PGTLS-N32",
        title="Private keys in Parameter Store are encrypted with a customer managed key",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(SSM_PARAMETER,),
        checks=(_private_key_is_encrypted,),
        why="With the default key, everybody who may read parameters can read the private key.",
        fix="use value with type SecureString and keyId; better, use Secrets Manager",
        link=f"{_PARAMETERS}/secure-string-parameter-kms-encryption.html",
    ),
)
