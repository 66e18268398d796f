"""User data of instances and launch templates, which holds no credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.connection_strings import connection_strings
from policy.text.embedded_text import Text, known_texts, private_keys_in
from policy.type_tokens import EC2_INSTANCE, LAUNCH_TEMPLATE
from policy.values import UndecidedError, Value

USER_DATA = ("userData", "userDataBase64")
_CREDENTIALS = (
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("an AWS secret key", re.compile(r"(?i)aws_secret_access_key\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}\b")),
    ("a PostgreSQL password", re.compile(r"\bPGPASSWORD\s*=\s*[\"']?(?![$<{\"'])\S+")),
    (
        "a role's password",
        re.compile(r"(?i)\b(?:CREATE|ALTER)\s+(?:USER|ROLE)\b[^;\n]*\bPASSWORD\s+'(?!\$|<|\{)[^']+'"),
    ),
    (
        # Without quotes only as in shell and systemd files: in a program this would be an expression.
        "a password",
        re.compile(
            r"(?m)^[ \t]*(?:export[ \t]+|Environment=[\"']?)?"
            r"[A-Z0-9_]*(?:PASSWORD|PASSWD|SECRET|TOKEN)[A-Z0-9_]*"
            r"=[\"']?(?![$<{\"'\s])[^\s\"'(),]{6,}[\"']?[ \t]*$"
        ),
    ),
    (
        "a password",
        re.compile(
            r"(?im)^[ \t]*[\w.-]*(?:password|passwd|secret|token)\w*[ \t]*[=:][ \t]*"
            r"(?P<quote>[\"'])(?![$<{])[^\s\"']{6,}(?P=quote)[ \t]*,?[ \t]*$"
        ),
    ),
    ("a GitHub token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b")),
)
# Settings whose names contain such a word, although their values are not secret.
_NOT_SECRET = re.compile(
    r"(?im)^\s*(?:export\s+)?(?:password_encryption|http_?tokens?|\w*(?:secret|password|token)_?(?:arn|id|name|file|path|"
    r"version|command)\w*)\s*[=:].*$"
)


def _user_data(resource: Resource) -> list[Value]:
    return [resource[name] for name in USER_DATA if resource[name].given]


def _credentials(resource: Resource) -> Iterator[Outcome]:
    for value in _user_data(resource):
        for text in known_texts(value):
            found = _credential_in(text)
            if found is not None:
                yield found
        if not value.is_known:
            raise UndecidedError(f"{value.path} is not known before the update")


def _credential_in(text: Text) -> Problem | None:
    """The first credential in a text; neither it nor the text around it is shown."""
    content = _NOT_SECRET.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text.content)
    for what, pattern in _CREDENTIALS:
        if match := pattern.search(content):
            return Problem(at=text.place_of(match.start()), reason=f"it holds {what}")
    if _is_a_password(text):
        return Problem(at=text.place(), reason="it is a password")
    for each in connection_strings(content):
        if each.has_password:
            return Problem(at=text.place_of(each.offset), reason="it holds a password in a connection string")
    return None


def _is_a_password(text: Text) -> bool:
    """Whether the text is the value of one of cloud-config's password keys."""
    named = text.name.lower() in ("password", "passwd", "plain_text_passwd", "hashed_passwd")
    return named and not re.match(r"[$<{]|lock", text.content) and "\n" not in text.content.strip()


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
