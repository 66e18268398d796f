"""Context keys of IAM conditions: what their values mean, and which of them tell strangers from others.

Source: IAM User Guide, "AWS global condition context keys".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from policy.address_ranges import is_address
from policy.owned import Owned
from policy.patterns import ANY_TEXT, Pattern, Token, literal

# Characters that no policy contains.
RESOURCE_ACCOUNT, RESOURCE_ORGANISATION = "\ue001", "\ue002"
"""What `${aws:ResourceAccount}` and `${aws:ResourceOrgID}` stand for: one's own, whichever it is."""

_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_NAME = (Token("", "*?"), Token("", "*?", many=True))
_FIELD = Token("", ":*?", many=True)


def _arns(account: Pattern) -> Pattern:
    colon = literal(":")
    return (*literal("arn:"), _FIELD, *colon, _FIELD, *colon, _FIELD, *colon, *account, *colon, *_NAME)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the values of a key mean.

    Attributes:
        domain: Patterns of the values that a request can have; none where only others than strangers have it.
        names: Whether a value, as written, by itself names what it is for, so that strangers lack it.
        own: The patterns of one's own values, by what is one's own.
        owner: The account or organisation that a value, as written, is of; empty where it names none.
    """

    domain: tuple[Pattern, ...] = ((ANY_TEXT,),)
    names: Callable[[str], bool] = lambda _: False
    own: Callable[[Owned], Iterable[Pattern]] = lambda _: ()
    owner: Callable[[str], Owned] = lambda _: Owned()


def named(expression: str) -> Kind:
    """A kind whose values name something where they match a regular expression as written."""
    wanted = re.compile(expression)
    return Kind(names=lambda text: wanted.fullmatch(text) is not None)


def _account_of(text: str) -> Owned:
    found = re.fullmatch(r"(?:arn:[^:]*:[^:]*:[^:]*:)?([0-9]{12})(?::.*)?", text)
    return Owned(accounts=frozenset({found[1]})) if found else Owned()


def _organisation_of(text: str) -> Owned:
    found = re.fullmatch(r"(o-[a-z0-9]{10,32})(?:/.*)?", text)
    return Owned(organisations=frozenset({found[1]})) if found else Owned()


_ONE_BUCKET = re.compile(r"arn:[^*?:]+:s3:::[^*?]+")
ACCOUNT = Kind(
    domain=((Token("0123456789"),) * 12, literal(RESOURCE_ACCOUNT)),
    own=lambda owned: (literal(each) for each in (*owned.accounts, RESOURCE_ACCOUNT)),
    owner=_account_of,
)
_ORGANISATION_ID = (*literal("o-"), Token(_LOWER), Token(_LOWER, many=True))
ORGANISATION = Kind(
    domain=(_ORGANISATION_ID, literal(RESOURCE_ORGANISATION)),
    own=lambda owned: (literal(each) for each in (*owned.organisations, RESOURCE_ORGANISATION)),
    owner=_organisation_of,
)
ORGANISATION_PATH = Kind(
    domain=tuple(
        (*each, *literal("/"), Token(f"{_LOWER}/-", many=True))
        for each in (_ORGANISATION_ID, literal(RESOURCE_ORGANISATION))
    ),
    own=lambda owned: (
        (*literal(f"{each}/"), ANY_TEXT) for each in (*owned.organisations, RESOURCE_ORGANISATION)
    ),
    owner=_organisation_of,
)
ARN = Kind(
    domain=(_arns((_FIELD,)),),
    # The ARN of a bucket has no account, and names one bucket.
    names=lambda text: _ONE_BUCKET.fullmatch(text) is not None,
    own=lambda owned: (_arns(literal(each)) for each in (*owned.accounts, RESOURCE_ACCOUNT)),
    owner=_account_of,
)
NAME = named(r"[^*?]{2,}")
NETWORK_ID = Kind(domain=(_NAME,), names=NAME.names)
"""A VPC or an endpoint: the whole id names one of one account."""

NETWORK = Kind(names=is_address)
PROOF = Kind(domain=(literal("false"),))
"""A boolean that is true only for whom the statement is meant."""

ABSENT = Kind(domain=())
"""A key that strangers' requests lack."""

_BOOLEAN = Kind(domain=(literal("true"), literal("false")))
_GLOBAL: Mapping[str, Kind] = MappingProxyType(
    {
        "aws:principalaccount": ACCOUNT,
        "aws:principalarn": ARN,
        "aws:principalorgid": ORGANISATION,
        "aws:principalorgpaths": ORGANISATION_PATH,
        "aws:sourceaccount": ACCOUNT,
        "aws:sourcearn": ARN,
        "aws:sourceip": NETWORK,
        "aws:sourceorgid": ORGANISATION,
        "aws:sourceorgpaths": ORGANISATION_PATH,
        "aws:sourceowner": ACCOUNT,
        "aws:sourcevpc": NETWORK_ID,
        "aws:sourcevpce": NETWORK_ID,
        "aws:vpceaccount": ACCOUNT,
        "aws:vpceorgid": ORGANISATION,
        "aws:vpceorgpaths": ORGANISATION_PATH,
        "kms:calleraccount": ACCOUNT,
        "s3:dataaccesspointaccount": ACCOUNT,
    }
)
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        **_GLOBAL,
        "aws:multifactorauthpresent": _BOOLEAN,
        "aws:principalisawsservice": _BOOLEAN,
        "aws:resourceaccount": ACCOUNT,
        "aws:resourceorgid": ORGANISATION,
        "aws:securetransport": _BOOLEAN,
        "aws:viaawsservice": _BOOLEAN,
        "s3:resourceaccount": ACCOUNT,
    }
)
"""What the values of keys are. A key that is not here can have any value."""

# Which keys count, by what a statement could admit too much of. Referer, user agent, request tags, transport
# and private addresses never do: everybody can choose them, or has them.
OF_EVERYBODY = _GLOBAL
"""In a resource's policy that allows everybody: who calls, from where, or on whose behalf a service does."""

OF_SERVICES: Mapping[str, Kind] = MappingProxyType(
    {
        key: kind
        for key, kind in _GLOBAL.items()
        if key in ("aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths")
    }
)
"""In a statement that allows a service: on whose behalf it calls."""

_ONE_PRINCIPAL = (
    r"arn:[^*?:]+:(?:iam|sts)::(?:[0-9]{12}|\*):(?:role|user|assumed-role|federated-user)/[^*?/].*"
)
OF_AN_ACCOUNT: Mapping[str, Kind] = MappingProxyType(
    {
        "aws:multifactorauthage": ABSENT,
        "aws:multifactorauthpresent": PROOF,
        "aws:principalarn": named(_ONE_PRINCIPAL),
        "aws:principalorgid": ORGANISATION,
        "aws:principalorgpaths": ORGANISATION_PATH,
        "sts:externalid": NAME,
    }
)
"""In a trust policy that names a whole account: which of its principals, or what they have to prove."""

_TAGGED: Mapping[str, Kind] = MappingProxyType(
    {
        f"{service}:resourcetag/": NAME
        for service in ("aws", "ec2", "ecr", "ecs", "elasticloadbalancing", "iam", "secretsmanager", "ssm")
    }
)
_KEYS: Mapping[str, Kind] = MappingProxyType(
    {
        "kms:encryptioncontext:": NAME,
        "kms:resourcealiases": NAME,
        "kms:viaservice": named(r"[a-z0-9-]+\.[a-z0-9.*?$:{}A-Z-]*"),
    }
)
OF_KEYS: Mapping[str, Kind] = MappingProxyType({"aws:resourcetag/": NAME, **_KEYS})
"""In a statement that allows every KMS key: which keys, or through which service."""

OF_RESOURCES: Mapping[str, Kind] = MappingProxyType(
    {
        **_TAGGED,
        **_KEYS,
        "cloudwatch:namespace": NAME,
        "ec2:subnet": NAME,
        "ec2:vpc": NAME,
        "ecs:cluster": NAME,
        "iam:permissionsboundary": NAME,
        "iam:policyarn": NAME,
        "rds:cluster-tag/": NAME,
        "rds:db-tag/": NAME,
        "s3:existingobjecttag/": NAME,
    }
)
"""In an identity's statement that allows every resource: which resources."""
