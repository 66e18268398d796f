"""Files of a PostgreSQL server in the resources that carry them: pg_hba.conf, pg_ident.conf, postgresql.conf.

A text is recognised by its file name, or by its lines where it has no name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from policy.resources import Resource
from policy.text import server_commands
from policy.text.carriers import carried_texts
from policy.text.embedded_text import PARTIAL_SETTINGS, Text
from policy.values import TextPlace, UndecidedError
from postgres.authentication_file import logical_lines
from postgres.hba_parser import HbaSyntaxError, ParsedRule, parse_hba
from postgres.hba_rule import AuthenticationMethod, ConnectionType
from postgres.ident import IdentMapping, IdentSyntaxError, parse_ident
from postgres.postgresql_conf import ConfigurationSyntaxError, parse_postgresql_conf

NEWEST = 18
"""The major version whose syntax is read: every older file is one of it, too."""

_TYPES = "|".join(sorted(ConnectionType, key=len, reverse=True))
_METHODS = "|".join(sorted((re.escape(each) for each in AuthenticationMethod), key=len, reverse=True))
_HBA_LINE = re.compile(rf"""^\s*(?:{_TYPES})\s+\S.*\s(?:{_METHODS})(?:\s|$)""")
_INCLUDE = re.compile(r"^\s*(?:include|include_if_exists|include_dir)\s+\S")
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


class NumberedLine(NamedTuple):
    """A line of a file, and what is said of it."""

    number: int
    text: str


@dataclass(frozen=True, kw_only=True)
class HbaFile:
    """A pg_hba.conf.

    Attributes:
        text: The file's text.
        rules: The rules that can be parsed, in order.
        unreadable: What is wrong with the other lines.
        includes: Lines that include other files, which cannot be seen here.
    """

    text: Text
    rules: tuple[ParsedRule, ...]
    unreadable: tuple[NumberedLine, ...] = ()
    includes: tuple[NumberedLine, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConfigurationFile:
    """A postgresql.conf.

    Attributes:
        text: The file's text.
        settings: Settings by lower-case name; the last line that sets one counts.
        is_partial: Whether the server has settings from elsewhere, so that one that is missing says nothing.
        includes: Lines that include other files, which cannot be seen here.
    """

    text: Text
    settings: Mapping[str, str] = field(repr=False)
    is_partial: bool = False
    includes: tuple[NumberedLine, ...] = ()

    def place_of(self, name: str) -> TextPlace:
        """The last line that sets `name`; the whole file where none does."""
        setting = re.compile(rf"(?:.*;)?\s*{re.escape(name)}(?:\s|=)", re.IGNORECASE)
        lines = [number for number, line in _numbered(self.text) if setting.match(line)]
        return self.text.place(lines[-1] if lines else 0)


class Edited(NamedTuple):
    """A file of the server that a command changes into what cannot be read.

    Attributes:
        place: The command.
        edit: What it does.
    """

    place: TextPlace
    edit: server_commands.Edit


class NumberedMapping(NamedTuple):
    """A line of pg_ident.conf."""

    number: int
    mapping: IdentMapping


@dataclass(frozen=True, kw_only=True)
class IdentFile:
    """A pg_ident.conf.

    Attributes:
        text: The file's text.
        mappings: The lines that can be parsed.
        unreadable: What is wrong with the other lines.
    """

    text: Text
    mappings: tuple[NumberedMapping, ...]
    unreadable: tuple[NumberedLine, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServerFiles:
    """The files that one resource carries.

    Attributes:
        hba: Every pg_hba.conf.
        configuration: Every postgresql.conf.
        ident: Every pg_ident.conf.
        edited: Files that commands change.
        texts: Every text, the files among them.
        unknown: Properties that could carry a file and are not known before the update.
        unread: Why others cannot be read at all.
    """

    hba: tuple[HbaFile, ...] = ()
    configuration: tuple[ConfigurationFile, ...] = ()
    ident: tuple[IdentFile, ...] = ()
    edited: tuple[Edited, ...] = ()
    texts: tuple[Text, ...] = ()
    unknown: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def require_known(self) -> None:
        """Refuse to decide what an unknown property could change.

        Raises:
            UndecidedError: A property that could carry a file is not known.
        """
        if self.unknown:
            raise UndecidedError(waits_for=" and ".join(self.unknown))


@lru_cache(maxsize=512)
def carried(resource: Resource) -> ServerFiles:
    """The files in the known properties of a resource."""
    found = carried_texts(resource)
    texts = [each for each in found.texts if not (each.is_documentation or each.is_source)]
    return ServerFiles(
        hba=tuple(_hba(each) for each in texts if _is_hba(each)),
        configuration=(
            *(_configuration(each) for each in texts if _is_configuration(each)),
            *(_stated(each) for each in texts if server_commands.stated(each.content)),
        ),
        edited=tuple(
            # Of a secret only the name is shown, not where the file lies.
            Edited(
                text.place_of(each.offset),
                each._replace(file=each.file.rpartition("/")[2]) if text.secret else each,
            )
            for text in texts
            for each in server_commands.edits(text.content)
        ),
        ident=tuple(_ident(each) for each in texts if each.name.endswith("pg_ident.conf")),
        texts=tuple(texts),
        unknown=found.unknown,
        unread=found.unread,
    )


def _is_hba(text: Text) -> bool:
    if text.name.endswith("pg_hba.conf"):
        return True
    # A program can have lines that look like rules.
    return not text.is_member and any(_HBA_LINE.match(line) for line in text.content.split("\n"))


def _is_configuration(text: Text) -> bool:
    if text.name == PARTIAL_SETTINGS or _CONF_NAME.fullmatch(text.name):
        return True
    return not text.is_member and any(
        match[1].lower().startswith(("ssl", "password_encryption", "log_connections"))
        and ("=" in match[0] or match[1].lower() != "ssl")
        for line in text.content.split("\n")
        if (match := _SETTING.match(line))
    )


def _numbered(text: Text) -> Iterator[NumberedLine]:
    yield from (NumberedLine(number, line) for number, line in enumerate(text.content.split("\n"), 1))


def _hba(text: Text) -> HbaFile:
    is_named = text.name.endswith("pg_hba.conf")
    lines = [
        NumberedLine(number, line if is_named or _HBA_LINE.match(line) or _INCLUDE.match(line) else "")
        for number, line in _numbered(text)
    ]
    includes = tuple(each for each in lines if _INCLUDE.match(each.text))
    rest = "\n".join("" if each in includes else each.text for each in lines)
    rules, unreadable = _parsed_hba(rest)
    return HbaFile(text=text, rules=rules, unreadable=unreadable, includes=includes)


@lru_cache(maxsize=256)
def _parsed_hba(content: str) -> tuple[tuple[ParsedRule, ...], tuple[NumberedLine, ...]]:
    try:
        return tuple(parse_hba(content, NEWEST)), ()
    except HbaSyntaxError:
        rules: list[ParsedRule] = []
        unreadable: list[NumberedLine] = []
    for number, line in enumerate(content.split("\n"), 1):
        try:
            rules += [ParsedRule(rule=each.rule, line_number=number) for each in parse_hba(line, NEWEST)]
        except HbaSyntaxError as error:
            unreadable.append(NumberedLine(number, _without_line(error.problems[0])))
    return tuple(rules), tuple(unreadable)


def shown(text: Text, line: NumberedLine) -> str:
    """What is wrong with a line that cannot be parsed; nothing of a secret is quoted."""
    return "it cannot be parsed" if text.secret else line.text


def _without_line(problem: str) -> str:
    """`pg_hba.conf line 1: no address` without the line, which is counted here."""
    return problem.partition(": ")[2]


def _configuration(text: Text) -> ConfigurationFile:
    includes = tuple(
        each for each in _numbered(text) if _INCLUDE.match(each.text) or "include =" in each.text
    )
    try:
        settings = parse_postgresql_conf(text.content)
    except ConfigurationSyntaxError:
        settings = dict(_lenient(text.content))
    is_partial = text.name == PARTIAL_SETTINGS
    return ConfigurationFile(text=text, settings=settings, is_partial=is_partial, includes=includes)


def _stated(text: Text) -> ConfigurationFile:
    """The settings that commands in a text state, on the lines of the commands."""
    lines = [""] * (text.content.count("\n") + 1)
    found = server_commands.stated(text.content)
    for each in found:
        lines[text.content.count("\n", 0, each.offset)] += f"; {each.name} = {each.value}"
    return ConfigurationFile(
        text=replace(text, content="\n".join(lines)),
        settings={each.name: each.value for each in found},
        is_partial=True,
    )


def _lenient(content: str) -> Iterator[tuple[str, str]]:
    for line in content.split("\n"):
        match = _SETTING.match(line)
        if match:
            yield match[1].lower(), match[2].strip("'")


def _ident(text: Text) -> IdentFile:
    mappings: list[NumberedMapping] = []
    try:
        parsed = parse_ident(text.content, NEWEST)
        numbers = [line.number for line in logical_lines(text.content)]
        mappings = [NumberedMapping(*each) for each in zip(numbers, parsed, strict=True)]
        return IdentFile(text=text, mappings=tuple(mappings))
    except IdentSyntaxError:
        unreadable: list[NumberedLine] = []
    for number, line in _numbered(text):
        try:
            mappings += [NumberedMapping(number, each) for each in parse_ident(line, NEWEST)]
        except IdentSyntaxError as error:
            unreadable.append(NumberedLine(number, _without_line(error.problems[0])))
    return IdentFile(text=text, mappings=tuple(mappings), unreadable=tuple(unreadable))
