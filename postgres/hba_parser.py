"""Read pg_hba.conf as PostgreSQL 15 to 18 do, or more strictly."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from postgres.authentication_file import Line, Token, literal_of_regex, logical_lines
from postgres.hba_rule import (
    ADDRESS_KEYWORDS,
    DATABASE_KEYWORDS,
    USER_KEYWORDS,
    AuthenticationMethod,
    ConnectionType,
    Rule,
    host_name_is_plain,
    literal_name,
    rule_problems,
)
from postgres.syntax_error import FileSyntaxError
from postgres.versions import require_supported


class HbaSyntaxError(FileSyntaxError):
    """A pg_hba.conf that PostgreSQL would refuse, or whose meaning does not follow from its text alone."""


@dataclass(frozen=True, kw_only=True)
class ParsedRule:
    """A rule, and the number (from 1) of the physical line where it begins."""

    rule: Rule
    line_number: int


class _LineError(ValueError):
    pass


def parse_hba(text: str, major: int) -> list[ParsedRule]:
    """The rules of `text` in order.

    Stricter than PostgreSQL: includes, netmasks that are not a prefix, and addresses in spellings that
    only the C library knows (`10.1`) are refused.

    Raises:
        HbaSyntaxError: with every fault of the file.
        ValueError: `major` is not supported.
    """
    require_supported(major)
    parsed: list[ParsedRule] = []
    problems: list[str] = []
    for line in logical_lines(text):
        found = list(line.problems)
        if not found:
            try:
                rule = _rule(line, major)
            except _LineError as error:
                found = [str(error)]
            else:
                found = rule_problems(rule, major)
                parsed.append(ParsedRule(rule=rule, line_number=line.number))
        problems += [f"pg_hba.conf line {line.number}: {problem}" for problem in found]
    if problems:
        raise HbaSyntaxError(problems)
    return parsed


def _rule(line: Line, major: int) -> Rule:
    fields = list(line.fields)
    type_text = _single(fields, "connection type").text
    if type_text not in list(ConnectionType):
        raise _LineError(f"connection type {type_text!r} is not one of {', '.join(ConnectionType)}")
    connection_type = ConnectionType(type_text)
    databases = _several(fields, "database")
    users = _several(fields, "user")
    address = None if connection_type is ConnectionType.LOCAL else _address(fields)
    method_text = _single(fields, "authentication method").text
    if method_text not in list(AuthenticationMethod):
        raise _LineError(
            f"authentication method {method_text!r} is not one of {', '.join(AuthenticationMethod)}"
        )
    options: list[tuple[str, str]] = []
    for token in (token for tokens in fields for token in tokens):
        name, equals, value = token.text.partition("=")
        if not equals:
            raise _LineError(f"option {token.text!r} is not in the form name=value")
        options.append((name, value))
    comment = line.comment
    return Rule(
        type=connection_type,
        databases=tuple(_entry(token, DATABASE_KEYWORDS, "", major) for token in databases),
        users=tuple(_entry(token, USER_KEYWORDS, "+", major) for token in users),
        address=address,
        method=AuthenticationMethod(method_text),
        options=tuple(options),
        comment=comment.rstrip("\\").strip() or None if comment else None,
    )


def _several(fields: list[tuple[Token, ...]], what: str) -> tuple[Token, ...]:
    if not fields:
        raise _LineError(f"ends before the {what}")
    return fields.pop(0)


def _single(fields: list[tuple[Token, ...]], what: str) -> Token:
    token, *others = _several(fields, what)
    if others:
        given = ", ".join(repr(other.text) for other in (token, *others))
        raise _LineError(f"has several values for the {what}: {given}")
    return token


def _entry(token: Token, keywords: frozenset[str], prefixes: str, major: int) -> str:
    if token.text.startswith("/") and major >= 16:
        literal = literal_of_regex(token.text)
        return literal_name(literal) if literal is not None and literal.startswith("/") else token.text
    special = token.text in keywords or (prefixes and token.text.startswith(tuple(prefixes)))
    return token.text if special and not token.quoted else literal_name(token.text)


def _address(fields: list[tuple[Token, ...]]) -> str:
    token = _single(fields, "address")
    text = token.text
    if text in ADDRESS_KEYWORDS:
        if token.quoted:
            raise _LineError(f"address {text!r} in quotes is a host name; drop the quotes or the line")
        return text
    if "/" in text:
        address, _, prefix = text.partition("/")
        if not (prefix.isascii() and prefix.isdigit()):
            raise _LineError(f"address {text!r} has no valid prefix length; write one such as /24")
        return _canonical(address, str(int(prefix)))
    if host_name_is_plain(text) and not _is_address(text):
        return text
    if not _is_address(text):
        raise _LineError(f"address {text!r} is neither an address nor a host name")
    mask = _single(fields, "netmask").text
    if not _is_address(mask):
        raise _LineError(f"netmask {mask!r} is not an address")
    if ipaddress.ip_address(mask).version != ipaddress.ip_address(text).version:
        raise _LineError(f"address {text!r} and netmask {mask!r} are of different families")
    bits = f"{int(ipaddress.ip_address(mask)):0{ipaddress.ip_address(mask).max_prefixlen}b}"
    if "01" in bits:
        raise _LineError(f"netmask {mask!r} has gaps; give a network in CIDR form")
    return _canonical(text, str(bits.count("1")))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _canonical(address: str, prefix: str) -> str:
    if not _is_address(address):
        raise _LineError(f"address {address!r} with a prefix length is not an IPv4 or IPv6 address")
    try:
        return ipaddress.ip_interface(f"{address}/{prefix}").with_prefixlen
    except ValueError:
        raise _LineError(f"address {address}/{prefix} has a prefix length that is too long") from None
