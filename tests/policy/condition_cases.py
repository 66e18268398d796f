"""Random conditions, and requests of strangers made of their values.

It shares nothing with `policy.conditions`: the requests are concrete, and what a stranger is stands here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

OWN, FOREIGN, OTHER = "123456789012", "999999999999", "123456789013"
THIRD = "555555555555"
OWN_ORGANISATION, FOREIGN_ORGANISATION = "o-abcdefghij", "o-zzzzzzzzzz"
BUCKET = "arn:aws:s3:::bucket-1"
Conditions = Mapping[str, Mapping[str, Sequence[str]]]
Context = dict[str, Any]

_STRING_OPERATORS = (
    "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
)  # fmt: skip
_ARN_OPERATORS = ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike")
_ACCOUNTS = (
    OWN, FOREIGN, OTHER, "*", "1234*", "12345678901?", "*9012", f"{OWN}*", "????????????", "9?9*",
    "000000000000",
)  # fmt: skip
_ARNS = (
    f"arn:aws:iam::{OWN}:role/app", f"arn:aws:iam::{FOREIGN}:role/app", f"arn:aws:iam::{OWN}:role/*",
    "arn:aws:iam::*:role/app", "arn:*:iam::1234*:role/*", f"arn:aws:*:*:{OWN}:*", "arn:aws:iam::*:role/a*",
    f"arn:aws:iam::{FOREIGN}:*", f"arn:aws:iam:*{OWN}:role/app", "*", BUCKET, "arn:aws:s3:::bucket-*",
)  # fmt: skip
_ORGANISATIONS = (OWN_ORGANISATION, FOREIGN_ORGANISATION, "o-*", "*", "o-abc*", OWN_ORGANISATION.upper())
_PATHS = (
    f"{OWN_ORGANISATION}/r-ab12/ou-1/", f"{OWN_ORGANISATION}/*", f"{FOREIGN_ORGANISATION}/*", "o-*/r-ab12/*",
    f"{OWN_ORGANISATION}*", "*",
)  # fmt: skip
_ENDPOINTS = ("vpce-1a2b3c", "vpce-9f8e7d", "vpce-*", "*", "VPCE-1A2B3C", "vpce-1a2b3?")
_REFERERS = ("https://a.example/", "https://*", "*", "a*", "*b", "A*")

KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "aws:SourceAccount": (_STRING_OPERATORS, _ACCOUNTS),
    "aws:PrincipalArn": ((*_ARN_OPERATORS, "StringLike", "StringNotLike", "StringEquals"), _ARNS),
    "aws:PrincipalOrgID": (_STRING_OPERATORS, _ORGANISATIONS),
    "aws:PrincipalOrgPaths": (_STRING_OPERATORS, _PATHS),
    "aws:SourceVpce": (_STRING_OPERATORS, _ENDPOINTS),
    "aws:Referer": (_STRING_OPERATORS, _REFERERS),
    "aws:SecureTransport": (("Bool",), ("true", "false", "TRUE")),
}
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "aws:SourceAccount": ("${aws:PrincipalAccount}",),
    "aws:PrincipalArn": ("arn:aws:iam::${aws:PrincipalAccount}:role/app",),
    "aws:Referer": ("${*}", "a${?}"),
}
_MULTIVALUED = "aws:PrincipalOrgPaths"


_ALWAYS: Mapping[str, set[str]] = {
    "aws:SourceAccount": {FOREIGN, OTHER, THIRD},
    "aws:PrincipalArn": {f"arn:aws:iam::{each}:user/x" for each in (FOREIGN, THIRD)},
    "aws:PrincipalOrgID": {FOREIGN_ORGANISATION, "o-third"},
    "aws:PrincipalOrgPaths": {f"{FOREIGN_ORGANISATION}/r-1/", "o-third/r-1/"},
    "aws:SourceVpce": {"vpce-0000"},
    "aws:Referer": {"zz", FOREIGN},
    "aws:SecureTransport": {"true", "false"},
}


def conditions(random: Random) -> Conditions:
    """The conditions of one statement, on one or two keys."""
    result: dict[str, dict[str, list[str]]] = {}
    for key in random.sample(sorted(KEYS), random.choice((1, 1, 2))):
        operators, values = KEYS[key]
        for _ in range(random.choice((1, 1, 2, 3))):
            if random.random() < 0.1:
                result.setdefault("Null", {})[key] = [random.choice(("true", "false"))]
                continue
            operator = random.choice(operators)
            if key == _MULTIVALUED:
                operator = random.choice(("ForAllValues:", "ForAnyValue:")) + operator
            if random.random() < 0.2:
                operator += "IfExists"
            pool = values if random.random() < 0.7 else (*values, *_VARIABLES.get(key, ()))
            if operator.startswith("Arn"):
                pool = tuple(each for each in pool if each != "*")
            if "Like" not in operator:
                pool = tuple(each for each in pool if not each.endswith(("${*}", "${?}")))
            result.setdefault(operator, {})[key] = random.sample(pool, random.choice((1, 1, 2)))
    return result


def is_of_a_stranger(key: str, value: str, stated: Sequence[str]) -> bool:
    """Whether a request of a stranger can have this value."""
    if re.search(r"[*?]", value):
        return key == "aws:Referer"
    if key == "aws:SourceAccount":
        return re.fullmatch(r"[0-9]{12}", value) is not None and value != OWN
    if key == "aws:PrincipalArn":
        fields = value.split(":", 5)
        return (
            len(fields) == 6
            and fields[0] == "arn"
            and fields[5] != ""
            and fields[4] != OWN
            and not (value in stated and value == BUCKET)
        )
    if key in ("aws:PrincipalOrgID", "aws:PrincipalOrgPaths"):
        path = r"/[a-z0-9/-]*" if key == "aws:PrincipalOrgPaths" else ""
        organisation = value.split("/", maxsplit=1)[0]
        return re.fullmatch(rf"o-[a-z0-9]+{path}", value) is not None and organisation != OWN_ORGANISATION
    if key == "aws:SourceVpce":
        return value.lower() not in (each.lower() for each in stated)
    return key != "aws:SecureTransport" or value in ("true", "false")


def _filled(pattern: str, fragments: Sequence[str]) -> Iterator[str]:
    """Texts that a pattern matches, and the pattern itself."""
    yield re.sub(r"\$\{([*?$])\}", r"\1", pattern)
    parts = re.split(r"([*?])", re.sub(r"\$\{([*?$])\}", r"\1", pattern))
    holes = [("0", "3", "c", "x", "9") if part == "?" else fragments for part in parts[1::2]]
    for filling in itertools.islice(itertools.product(*holes), 400):
        yield "".join(part if index % 2 == 0 else filling[index // 2] for index, part in enumerate(parts))


def values_of(key: str, stated: Sequence[str]) -> list[str]:
    """Values of one key that the stated ones make interesting, for a stranger."""
    texts = [each.replace("${aws:PrincipalAccount}", by) for each in stated for by in (FOREIGN, THIRD)]
    fragments = ["", "x"]
    if key == "aws:SourceAccount":
        fragments += [FOREIGN[:count] for count in (1, 3, 8)] + ["12345678", "90120000", "12345", OWN, "9012"]
        fragments += [f"{'5' * count}9012" for count in (4, 5, 7)] + ["5" * 11, "5" * 12]
    elif key == "aws:PrincipalArn":
        fragments += [
            FOREIGN,
            OTHER,
            "app",
            "role/app",
            "iam",
            "aws",
            f"iam::{FOREIGN}",
            f":{OWN}",
            f"iam::{OWN}",
        ]
        fragments += [
            "56789013",
            f"aws:iam::{FOREIGN}",
            "arn:aws:iam::999999999999:role/app",
            f"{FOREIGN}:x:",
        ]
        fragments += [f":{FOREIGN}:role/", f":{FOREIGN}:{OWN}", ":iam::1234:role/x", f"x:{OWN}:role/app"]
        fragments += [f":iam::{THIRD}:x", f"iam::{THIRD}:x:{OWN}", f":{OWN}:{OWN}:role/app"]
    else:
        fragments += [part for each in texts for part in re.split(r"[*?]", each)] + [
            "/",
            "x/r-1/",
            "x/r-ab12/x",
            "defghij",
            "zzz",
        ]
    pool = {text for each in texts for text in _filled(each, list(dict.fromkeys(fragments)))}
    pool |= {each.lower() for each in pool} | {each.upper() for each in pool}
    pool |= _ALWAYS[key]
    return sorted(each for each in pool if is_of_a_stranger(key, each, stated))


def requests(key: str, stated: Sequence[str]) -> Iterator[Context]:
    """What a stranger's request can say about one key."""
    yield {"aws:PrincipalAccount": FOREIGN}
    values = values_of(key, stated)
    for value in values:
        account = value.split(":")[4] if key == "aws:PrincipalArn" else value
        yield {"aws:PrincipalAccount": account if account.isdigit() else FOREIGN, key: value}
        if key == "aws:SourceAccount":
            yield {"aws:PrincipalAccount": FOREIGN if value != FOREIGN else OTHER, key: value}
    if key == _MULTIVALUED:
        for pair in itertools.combinations(values[:12], 2):
            yield {"aws:PrincipalAccount": FOREIGN, key: list(pair)}
