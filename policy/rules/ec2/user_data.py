"""User data of instances and launch templates, which holds no credentials."""

from __future__ import annotations

from collections.abc import Iterator

from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.carriers import property_texts
from policy.text.credentials import credential_in
from policy.text.embedded_text import private_keys_in
from policy.type_tokens import EC2_INSTANCE, LAUNCH_TEMPLATE
from policy.values import UndecidedError, Value

USER_DATA = ("userData", "userDataBase64")


def _user_data(resource: Resource) -> list[Value]:
    return [resource[name] for name in USER_DATA if resource[name].given]


def _credentials(resource: Resource) -> Iterator[Outcome]:
    for value in _user_data(resource):
        for text in property_texts(resource, value.path):
            if (found := credential_in(text)) is not None:
                yield found
        if not value.is_known:
            raise UndecidedError(waits_for=value.path)


def _key_in_user_data(resource: Resource) -> Iterator[Outcome]:
    for value in _user_data(resource):
        for place in private_keys_in(value):
            yield Problem(at=place, reason="it holds a private key")


_USER_DATA_LINK = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"
_CREDENTIAL_FIX = "read it from Secrets Manager at boot, with the instance's role"
_READABLE = "Everybody who may describe the instance, and every process on it, can read user data."

RULES = (
    Rule(
        id="PGTLS-P042",
        title="Instance user data holds no credentials",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(EC2_INSTANCE,),
        checks=(_credentials,),
        why=_READABLE,
        fix=_CREDENTIAL_FIX,
        link=_USER_DATA_LINK,
        references=("CKV_AWS_46",),
    ),
    Rule(
        id="PGTLS-P043",
        title="Launch template user data holds no credentials",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(LAUNCH_TEMPLATE,),
        checks=(_credentials,),
        why=_READABLE,
        fix=_CREDENTIAL_FIX,
        link=_USER_DATA_LINK,
        references=("CKV_AWS_46",),
    ),
    Rule(
        id="PGTLS-P044",
        title="User data holds no private keys",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(EC2_INSTANCE, LAUNCH_TEMPLATE),
        checks=(_key_in_user_data,),
        why=_READABLE,
        fix=_CREDENTIAL_FIX,
        link=_USER_DATA_LINK,
    ),
)
