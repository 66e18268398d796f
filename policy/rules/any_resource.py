"""Rules about every resource: private keys, connection strings, and ignored changes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.resources import Resource, Stack
from policy.rule import ANY, Area, Outcome, Problem, Rule, Severity
from policy.rules.ec2.user_data import USER_DATA
from policy.rules.tls_provider import made_of_a_key
from policy.text.carriers import property_texts
from policy.text.connection_strings import connection_strings
from policy.text.embedded_text import private_key_in
from policy.type_tokens import ACM_CERTIFICATE, EC2_INSTANCE, LAUNCH_TEMPLATE, SECRET_VERSION, SSM_PARAMETER
from policy.values import TextPlace, Value

# Where private keys belong: secret stores, and the resources that create keys or pass them on.
_SECRET_STORES = frozenset(
    {
        (SECRET_VERSION, "secretString"),
        (SECRET_VERSION, "secretBinary"),
        (SECRET_VERSION, "secretStringWo"),
        (ACM_CERTIFICATE, "privateKey"),
        (ACM_CERTIFICATE, "privateKeyWo"),
        ("aws:apigateway/domainName:DomainName", "certificatePrivateKey"),
        ("aws:iam/serverCertificate:ServerCertificate", "privateKey"),
        ("aws:transfer/certificate:Certificate", "privateKey"),
        ("aws:transfer/server:Server", "hostKey"),
        ("kubernetes:core/v1:Secret", "data"),
        ("kubernetes:core/v1:Secret", "stringData"),
    }
)
_KEY_TYPES = ("tls:", "pulumi:providers:tls", "pulumi:pulumi:Stack")
# What a dynamic resource of the program is given lies in the state alone, which encrypts what is secret.
_DYNAMIC = ("pulumi-python:dynamic", "pulumi-nodejs:dynamic")
_PUBLIC = "-----BEGIN"
_DECISIVE = frozenset(
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


def _key_anywhere(resource: Resource) -> Iterator[Outcome]:
    if resource.type.startswith(_KEY_TYPES) or resource.type == SSM_PARAMETER:
        return  # N32 reports parameters
    is_dynamic = resource.type.startswith(_DYNAMIC)
    for name in resource.properties:
        if (resource.type, name) in _SECRET_STORES or (
            resource.type in (EC2_INSTANCE, LAUNCH_TEMPLATE) and name in USER_DATA
        ):
            continue
        if is_dynamic and resource[name].secret:
            continue
        # An unknown property is not undecided here, since almost every resource has one. The update sees all.
        for text in property_texts(resource, name):
            if place := private_key_in(text):
                yield Problem(at=place, reason="it holds a private key")


def _made_of_a_key(resource: Resource, stack: Stack) -> Iterator[Outcome]:
    if resource.type.startswith((*_KEY_TYPES, *_DYNAMIC)) or resource.type == SSM_PARAMETER:
        return
    for name in resource.dependencies:
        if (resource.type, name) not in _SECRET_STORES and (key := made_of_a_key(resource, name, stack)):
            yield Problem(at=TextPlace(path=name), reason=f"it holds the private key of {key}")


def _verifies(resource: Resource) -> Iterator[Outcome]:
    for name in resource.properties:
        for text in property_texts(resource, name):
            if text.is_documentation or _PUBLIC in text.content[:64]:
                continue
            for found in connection_strings(text.content):
                if text.is_source and found.kind != "URI":
                    continue  # arguments of a function
                at, kind = text.place_of(found.offset), f"connection string ({found.kind})"
                problems = found.problems()
                for problem in problems:
                    yield Problem(at=at, reason=f"{kind}: {problem}")
                if found.trusts_by_default and not problems:
                    missing = "sslrootcert is missing, so the driver's default decides whom it trusts"
                    yield Problem(at=at, reason=f"{kind}: {missing}", severity=Severity.LOW)


def _ignores(resource: Resource) -> Iterator[Outcome]:
    for path in resource.ignored:
        first = re.split(r"[.\[]", path)[0]
        if first in _DECISIVE:
            yield Problem(
                at=Value(path="ignoreChanges", raw=path),
                reason="expected the property not to be ignored; its changes would never be shown",
            )


RULES = (
    Rule(
        id="PGTLS-N31",
        title="Private keys are stored in secret stores only",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(ANY,),
        checks=(_key_anywhere,),
        stack_checks=(_made_of_a_key,),
        why="Whoever can read the property can impersonate the key's owner.",
        fix="store the key in Secrets Manager and pass its ARN",
        link="https://docs.aws.amazon.com/secretsmanager/latest/userguide/intro.html",
    ),
    Rule(
        id="PGTLS-N85",
        title="Connection strings verify the server",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(ANY,),
        checks=(_verifies,),
        why="With a weaker sslmode, anybody on the network path can impersonate the server.",
        fix="set sslmode=verify-full and sslrootcert",
        link="https://www.postgresql.org/docs/current/libpq-ssl.html",
    ),
    Rule(
        id="PGTLS-N51",
        title="ignoreChanges covers no property that decides TLS or access",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(ANY,),
        checks=(_ignores,),
        why="A manual change of the property would be neither shown in a preview nor corrected.",
        fix="remove the property from ignoreChanges",
        link="https://www.pulumi.com/docs/iac/concepts/options/ignorechanges/",
    ),
)
