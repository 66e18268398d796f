"""Files of a PostgreSQL server wherever they travel: pg_hba.conf, pg_ident.conf, postgresql.conf, scripts.

A text counts as one of these by its name, and where it has none by its lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from policy.embedded_text import Text, known_texts
from policy.registered import Resource
from policy.values import UNKNOWN
from postgres.configuration_file import ConfigurationSyntaxError, parse_postgresql_conf
from postgres.hba import HbaSyntaxError, ParsedRule, parse_hba
from postgres.hba_rule import AuthenticationMethod, ConnectionType
from postgres.ident import IdentMapping, IdentSyntaxError, parse_ident
from postgres.versions import SUPPORTED_MAJORS

INSTANCE = "aws:ec2/instance:Instance"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CARRIERS: Mapping[str, tuple[str, ...]] = {
    INSTANCE: ("userData", "userDataBase64"),
    LAUNCH_TEMPLATE: ("userData",),
    "aws:s3/bucketObject:BucketObject": ("content", "contentBase64", "source"),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("content", "contentBase64", "source"),
    "aws:ssm/parameter:Parameter": ("value", "insecureValue"),
}
"""Types of resources that carry files, and in which properties."""

NEWEST = SUPPORTED_MAJORS[-1]

_TYPES = "|".join(sorted(ConnectionType, key=len, reverse=True))
_METHODS = "|".join(sorted((re.escape(each) for each in AuthenticationMethod), key=len, reverse=True))
_HBA_LINE = re.compile(rf"""^\s*(?:{_TYPES})\s+\S.*\s(?:{_METHODS})(?:\s|$)""")
_HBA_INCLUDE = re.compile(r"^\s*(?:include|include_if_exists|include_dir)\s+\S")
_SETTINGS = [
    "hba_file",
    "listen_addresses",
    "log_connections",
    "password_encryption",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_ciphers",
    "ssl_crl_dir",
    "ssl_crl_file",
    "ssl_ecdh_curve",
    "ssl_groups",
    "ssl_key_file",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "ssl_prefer_server_ciphers",
    "ssl_tls13_ciphers",
]
_SETTING = re.compile(
    rf"""^\s*({"|".join(_SETTINGS)})(?:\s*=\s*|\s+)('(?:[^']|'')*'|[^\s#;]+)""", re.IGNORECASE
)
_CONF_NAME = re.compile(
    r"(?:.*/)?(?:postgresql(?:\.auto|\.base)?\.conf|postgresql\.conf\.d/.*|conf\.d/[^/]*\.conf)"
)


@dataclass(frozen=True, kw_only=True)
class HbaFile:
    """A pg_hba.conf.

    Attributes:
        text: Where it is.
        rules: Those rules that can be read, in their order.
        unreadable: What is wrong with the other lines.
        includes: Lines that name other files, which are not seen.
    """

    text: Text
    rules: tuple[ParsedRule, ...]
    unreadable: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConfigurationFile:
    """A postgresql.conf.

    Attributes:
        text: Where it is.
        settings: Settings by lower-case name; the last line counts.
        includes: Lines that name other files, which are not seen.
    """

    text: Text
    settings: Mapping[str, str] = field(repr=False)
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class IdentFile:
    """A pg_ident.conf."""

    text: Text
    mappings: tuple[IdentMapping, ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServerFiles:
    """All that one resource carries.

    Attributes:
        hidden: Properties that are not known before the update, as far as they could hold a file.
    """

    hba: tuple[HbaFile, ...] = ()
    configuration: tuple[ConfigurationFile, ...] = ()
    ident: tuple[IdentFile, ...] = ()
    texts: tuple[Text, ...] = ()
    hidden: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def carried(resource: Resource) -> ServerFiles:
    """The files that a resource carries, as far as they are known."""
    values = [resource[name] for name in CARRIERS.get(resource.type, ())]
    name = next((resource[each].text() for each in ("key", "name") if resource[each].raw is not UNKNOWN), "")
    name = "" if resource.type in (INSTANCE, LAUNCH_TEMPLATE) else name
    texts = [text for value in values if value.given for text in known_texts(value, name)]
    return ServerFiles(
        hba=tuple(_hba(each) for each in texts if _is_hba(each)),
        configuration=tuple(_configuration(each) for each in texts if _is_configuration(each)),
        ident=tuple(_ident(each) for each in texts if each.name.endswith("pg_ident.conf")),
        texts=tuple(texts),
        hidden=tuple(value.path for value in values if value.raw is UNKNOWN),
    )


def _is_hba(text: Text) -> bool:
    return text.name.endswith("pg_hba.conf") or any(
        _HBA_LINE.match(line) for line in text.content.split("\n")
    )


def _is_configuration(text: Text) -> bool:
    if _CONF_NAME.fullmatch(text.name):
        return True
    return any(
        match[1].lower().startswith(("ssl", "password_encryption", "log_connections"))
        and ("=" in match[0] or match[1].lower() != "ssl")
        for line in text.content.split("\n")
        if (match := _SETTING.match(line))
    )


@lru_cache(maxsize=256)
def _read_hba(content: str, named: bool) -> tuple[tuple[ParsedRule, ...], tuple[str, ...], tuple[str, ...]]:
    lines = content.split("\n")
    if not named:
        lines = [line if _HBA_LINE.match(line) or _HBA_INCLUDE.match(line) else "" for line in lines]
    includes = tuple(
        f"line {number}: {line.strip()}" for number, line in enumerate(lines, 1) if _HBA_INCLUDE.match(line)
    )
    rest = "\n".join("" if _HBA_INCLUDE.match(line) else line for line in lines)
    try:
        return tuple(parse_hba(rest, NEWEST)), (), includes
    except HbaSyntaxError:
        rules, unreadable = _line_by_line(rest)
        return rules, unreadable, includes


def _line_by_line(content: str) -> tuple[tuple[ParsedRule, ...], tuple[str, ...]]:
    rules: list[ParsedRule] = []
    unreadable: list[str] = []
    for number, line in enumerate(content.split("\n"), 1):
        try:
            rules += [ParsedRule(rule=each.rule, line_number=number) for each in parse_hba(line, NEWEST)]
        except HbaSyntaxError as error:
            unreadable.append(f"line {number} {error.problems[0].partition(': ')[2]}")
    return tuple(rules), tuple(unreadable)


def _hba(text: Text) -> HbaFile:
    rules, unreadable, includes = _read_hba(text.content, text.name.endswith("pg_hba.conf"))
    return HbaFile(text=text, rules=rules, unreadable=unreadable, includes=includes)


def _configuration(text: Text) -> ConfigurationFile:
    includes = tuple(
        line.strip() for line in text.content.split("\n") if _HBA_INCLUDE.match(line) or "include =" in line
    )
    try:
        settings = parse_postgresql_conf(text.content)
    except ConfigurationSyntaxError:
        settings = dict(_lenient(text.content))
    return ConfigurationFile(text=text, settings=settings, includes=includes)


def _lenient(content: str) -> Iterator[tuple[str, str]]:
    for line in content.split("\n"):
        match = _SETTING.match(line)
        if match:
            yield match[1].lower(), match[2].strip("'")


def _ident(text: Text) -> IdentFile:
    try:
        return IdentFile(text=text, mappings=tuple(parse_ident(text.content, NEWEST)))
    except IdentSyntaxError:
        mappings: list[IdentMapping] = []
        unreadable: list[str] = []
        for line in text.content.split("\n"):
            try:
                mappings += parse_ident(line, NEWEST)
            except IdentSyntaxError as error:
                unreadable.append(error.problems[0])
        return IdentFile(text=text, mappings=tuple(mappings), unreadable=tuple(unreadable))
