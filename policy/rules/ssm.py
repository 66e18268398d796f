"""Systems Manager Parameter Store: secrets and private keys in parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.carriers import property_texts
from policy.text.credentials import credential_in
from policy.text.embedded_text import private_keys_in
from policy.type_tokens import SSM_PARAMETER
from policy.values import Value

_PARAMETERS = "https://docs.aws.amazon.com/systems-manager/latest/userguide"
_VALUES = ("value", "valueWo", "insecureValue")
_NAMED = re.compile(
    r"(?i)(?:password|passwd|pwd|secret|token|api[-_.]?key|private[-_.]?key|credentials?)(?:[-_.]?[0-9]+)?$"
)
_REFERENCE = re.compile(r"arn:|https?://")


def _is_secure(parameter: Resource) -> bool:
    return parameter["type"].text().lower() == "securestring"


def _secret_is_secure(parameter: Resource) -> Iterator[Outcome]:
    if _is_secure(parameter):
        return
    insecure = parameter["insecureValue"]
    if insecure.secret and not _is_a_key(insecure):
        yield Problem(at=insecure, reason="it is a secret; expected value, and SecureString")
        return
    # The SDK marks `value` as secret whatever it holds, so the mark says nothing of it.
    for value in (parameter[name] for name in _VALUES):
        if value.given and (why := _why_secret(parameter, value)):
            yield Problem(at=parameter["type"], reason=f"expected SecureString, since {why}")
            return


def _why_secret(parameter: Resource, value: Value) -> str:
    """What shows that a value is a secret; empty where nothing does.

    Raises:
        UndecidedError: The name does, unless the value is a reference, and it is not known yet.
    """
    given = parameter["name"]
    name = given.text() if given.is_known and given.given else parameter.name
    if not value.is_known and not _NAMED.search(name):
        return ""
    text = value.text()
    if _is_a_key(value) or _REFERENCE.match(text):
        return ""
    if _NAMED.search(name):
        return f"{name} is the name of a secret"
    found = next(filter(None, map(credential_in, property_texts(parameter, value.path))), None)
    return f"of {found.at}: {found.reason}" if found else ""


def _is_a_key(value: Value) -> bool:
    """Whether it is a private key, which N32 judges."""
    return value.is_known and bool(private_keys_in(value))


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


def _has_a_key_of_ones_own(parameter: Resource) -> Iterator[Outcome]:
    value = parameter["keyId"]
    if _is_secure(parameter) and value.text() in ("", "alias/aws/ssm"):
        yield Problem(at=value, reason="expected a key of the account")


RULES = (
    Rule(
        id="PGTLS-P145",
        title="SecureStrings are encrypted with a key of one's own",
        area=Area.ENCRYPTION,
        severity=Severity.LOW,
        types=(SSM_PARAMETER,),
        checks=(_has_a_key_of_ones_own,),
        why="With AWS's own key, everybody in the account who may read the parameter may decrypt it.",
        fix="set keyId to a KMS key",
        link=f"{_PARAMETERS}/secure-string-parameter-kms-encryption.html",
        references=("CKV_AWS_337",),
    ),
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
