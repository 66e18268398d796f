"""What may stand in no property: private keys, credentials, connection strings that do not verify."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from policy.connection_strings import connection_strings
from policy.embedded_text import Text, known_texts, private_key_in, private_keys_in
from policy.registered import Resource
from policy.rule import ANY, Area, Outcome, Problem, Rule, Severity
from policy.rules.machines import INSTANCE, LAUNCH_TEMPLATE
from policy.rules.secrets import PARAMETER
from policy.values import UndecidedError, Value

_USER_DATA = ("userData", "userDataBase64")
# Where private keys belong: sealed stores, what hands keys on to them, and what makes keys.
_SEALED = frozenset(
    {
        ("aws:secretsmanager/secretVersion:SecretVersion", "secretString"),
        ("aws:secretsmanager/secretVersion:SecretVersion", "secretBinary"),
        ("aws:secretsmanager/secretVersion:SecretVersion", "secretStringWo"),
        ("aws:acm/certificate:Certificate", "privateKey"),
    }
)
_MAKERS = ("tls:", "pulumi:providers:tls", "pulumi:pulumi:Stack")
_PUBLIC = "-----BEGIN"
_CREDENTIALS = (
    ("an access key of AWS", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a secret key of AWS", re.compile(r"(?i)aws_secret_access_key\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}\b")),
    ("a password of PostgreSQL", re.compile(r"\bPGPASSWORD\s*=\s*[\"']?(?![$<{\"'])\S+")),
    (
        "a password of a role",
        re.compile(r"(?i)\b(?:CREATE|ALTER)\s+(?:USER|ROLE)\b[^;\n]*\bPASSWORD\s+'(?!\$|<|\{)[^']+'"),
    ),
    (
        # Unquoted in shells' and services' files only: in a program that is an expression.
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
    ("a token of GitHub", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b")),
)
# Settings whose names hold such a word, and whose values are no secrets.
_NO_SECRETS = re.compile(
    r"(?im)^\s*(?:export\s+)?(?:password_encryption|http_?tokens?|\w*(?:secret|password|token)_?(?:arn|id|name|file|path|"
    r"version|command)\w*)\s*[=:].*$"
)
_HIDING = frozenset(
    [
        "*",
        "assumeRolePolicy",
        "auths",
        "caCertIdentifier",
        "certificateArn",
        "dbClusterParameterGroupName",
        "defaultActions",
        "egress",
        "iamDatabaseAuthenticationEnabled",
        "inlinePolicies",
        "ingress",
        "managedPolicyArns",
        "metadataOptions",
        "mutualAuthentication",
        "parameterGroupName",
        "parameters",
        "policy",
        "publiclyAccessible",
        "requireTls",
        "securityGroups",
        "sslMode",
        "sslPolicy",
        "sslmode",
        "storageEncrypted",
        "userData",
        "userDataBase64",
        "vpcSecurityGroupIds",
        "caCertificatesBundleS3ObjectVersion",
        "validityPeriodHours",
        "allowedUses",
        "protocol",
    ]
)


@lru_cache(maxsize=64)
def _texts(resource: Resource, name: str) -> list[Text]:
    return known_texts(resource[name])


def _user_data(resource: Resource) -> list[Value]:
    return [resource[name] for name in _USER_DATA if resource[name].given]


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
    content = _NO_SECRETS.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text.content)
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
    """Whether cloud-config sets a password by a key of its own."""
    named = text.name.lower() in ("password", "passwd", "plain_text_passwd", "hashed_passwd")
    return named and not re.match(r"[$<{]|lock", text.content) and "\n" not in text.content.strip()


def _key_in_user_data(resource: Resource) -> Iterator[Outcome]:
    for value in _user_data(resource):
        for place in private_keys_in(value):
            yield Problem(at=place, reason="it holds a private key")


def _key_anywhere(resource: Resource) -> Iterator[Outcome]:
    if resource.type.startswith(_MAKERS) or resource.type == PARAMETER:
        return  # in a parameter that is N32
    for name in resource.properties:
        if (resource.type, name) in _SEALED or (
            resource.type in (INSTANCE, LAUNCH_TEMPLATE) and name in _USER_DATA
        ):
            continue
        # Almost any property is unknown in some preview; the update sees them all.
        for text in _texts(resource, name):
            if place := private_key_in(text):
                yield Problem(at=place, reason="it holds a private key")


def _verifies(resource: Resource) -> Iterator[Outcome]:
    for name in resource.properties:
        for text in _texts(resource, name):
            if _PUBLIC in text.content[:64]:
                continue
            for found in connection_strings(text.content):
                for problem in found.problems():
                    yield Problem(
                        at=text.place_of(found.offset),
                        reason=f"connection string ({found.kind}): {problem}",
                    )


def _ignores(resource: Resource) -> Iterator[Outcome]:
    for path in resource.ignored:
        first = re.split(r"[.\[]", path)[0]
        if first in _HIDING:
            yield Problem(
                at=Value(path="ignoreChanges", raw=path),
                reason="changes of it would not be seen again",
            )


_USER_DATA_LINK = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"
_CREDENTIAL_FIX = "read it from Secrets Manager at the start, by the role of the instance"
_READABLE = "Whoever may describe it, or runs on it, reads user data."

RULES = (
    Rule(
        id="PGTLS-P042",
        title="An instance's user data hold no credentials",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(INSTANCE,),
        checks=(_credentials,),
        why=_READABLE,
        fix=_CREDENTIAL_FIX,
        link=_USER_DATA_LINK,
        references=("CKV_AWS_46",),
    ),
    Rule(
        id="PGTLS-P043",
        title="A launch template's user data hold no credentials",
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
        title="User data hold no private key",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(INSTANCE, LAUNCH_TEMPLATE),
        checks=(_key_in_user_data,),
        why=_READABLE,
        fix=_CREDENTIAL_FIX,
        link=_USER_DATA_LINK,
    ),
    Rule(
        id="PGTLS-N31",
        title="Private keys stand nowhere but in sealed stores",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(ANY,),
        checks=(_key_anywhere,),
        why="Whoever reads the key is whom its certificate names.",
        fix="keep it in Secrets Manager, and hand its ARN on",
        link="https://docs.aws.amazon.com/secretsmanager/latest/userguide/intro.html",
    ),
    Rule(
        id="PGTLS-N85",
        title="Connection strings verify the server",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(ANY,),
        checks=(_verifies,),
        why="With require, whoever is on the way answers in the server's place.",
        fix="set sslmode=verify-full and sslrootcert",
        link="https://www.postgresql.org/docs/current/libpq-ssl.html",
    ),
    Rule(
        id="PGTLS-N51",
        title="No change of TLS or access is ignored",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(ANY,),
        checks=(_ignores,),
        why="What somebody changed by hand would never be put right, nor shown in a preview.",
        fix="remove the property from ignoreChanges",
        link="https://www.pulumi.com/docs/iac/concepts/options/ignorechanges/",
    ),
)
