"""pg_hba.conf, wherever a resource carries it: who may log in, from where, by which method."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

from policy.floor import SUPERUSER
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, ResourceCheck, Rule, Severity, Unclear
from policy.text.carriers import TYPES
from policy.text.server_files import NEWEST, HbaFile, carried
from postgres.hba_coverage import covers, first_covering
from postgres.hba_parser import ParsedRule
from postgres.hba_rendering import rule_line
from postgres.hba_rule import AuthenticationMethod, ConnectionType
from postgres.hba_rule import Rule as HbaRule

_DOCUMENTATION = "https://www.postgresql.org/docs/current"
_HBA = f"{_DOCUMENTATION}/auth-pg-hba-conf.html"
_CERTIFICATES = f"{_DOCUMENTATION}/auth-cert.html"
_M = AuthenticationMethod
_NO_SUPERUSER = HbaRule(
    type=ConnectionType.HOSTSSL, databases=("all",), users=(SUPERUSER,), address="all", method=_M.REJECT
)
_EVERYWHERE = ("all", "0.0.0.0/0", "::/0")

FileCheck = Callable[[HbaFile], Iterator[tuple[ParsedRule, str]]]


def _is_local(rule: HbaRule) -> bool:
    if rule.type is ConnectionType.LOCAL:
        return True
    if rule.address is None or "/" not in rule.address:
        return False
    return ipaddress.ip_interface(rule.address).network.is_loopback


def _allows(rule: HbaRule) -> bool:
    return rule.method is not _M.REJECT


def _remote(file: HbaFile) -> list[ParsedRule]:
    return [each for each in file.rules if _allows(each.rule) and not _is_local(each.rule)]


def _problem(file: HbaFile, parsed: ParsedRule, expected: str) -> Problem:
    """A problem with one rule, which is quoted unless the file is a secret."""
    line = "" if file.text.secret else f"`{rule_line(parsed.rule, NEWEST)}`: "
    return Problem(at=file.text.place(parsed.line_number), reason=f"{line}{expected}")


def _in_files(check: FileCheck) -> ResourceCheck:
    def of_resource(resource: Resource) -> Iterator[Outcome]:
        files = carried(resource)
        for file in files.hba:
            for parsed, expected in check(file):
                yield _problem(file, parsed, expected)
        yield from (Unclear(why=why) for why in files.unread)
        files.require_known()

    return of_resource


def _without_tls(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    for each in file.rules:
        if each.rule.type is ConnectionType.HOSTNOSSL and _allows(each.rule):
            yield each, "it allows connections without TLS; expected reject"


def _includes(resource: Resource) -> Iterator[Outcome]:
    for file in carried(resource).hba:
        for include in file.includes:
            place = file.text.place(include.number)
            yield Unclear(why=f"{place} includes another file, which cannot be checked here")


def _perhaps_without_tls(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    for each in _remote(file):
        if each.rule.type not in (ConnectionType.HOSTSSL, ConnectionType.HOSTNOSSL):
            yield each, f"{each.rule.type} also matches connections without TLS; expected hostssl"


def _shadowed(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    positions = first_covering([each.rule for each in file.rules])
    for each, position in zip(file.rules, positions, strict=True):
        if position is None:
            continue
        earlier = file.rules[position]
        if (earlier.rule.method, earlier.rule.options) != (each.rule.method, each.rule.options):
            first = "" if file.text.secret else f" ({rule_line(earlier.rule, NEWEST)})"
            yield each, f"is never reached: line {earlier.line_number}{first} decides first"


def _weak(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    for each in file.rules:
        if each.rule.method in (_M.TRUST, _M.PASSWORD, _M.MD5, _M.IDENT):
            yield each, f"{each.rule.method} is a weak authentication method; expected cert"


def _certificates_only(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    named = {
        user
        for each in _remote(file)
        if each.rule.method is _M.CERT
        for user in each.rule.users
        if user != "all" and not user.startswith(("+", "/"))
    }
    weaker = (_M.TRUST, _M.PASSWORD, _M.MD5, _M.IDENT)  # N04 reports these
    for each in _remote(file):
        rule = each.rule
        options = dict(rule.options)
        if options.get("clientcert") == "verify-ca":
            yield each, "it accepts any certificate of the authority; expected clientcert=verify-full"
        elif (
            rule.method is not _M.CERT
            and rule.method not in weaker
            and named & set(rule.users)
            and options.get("clientcert") != "verify-full"
        ):
            yield each, "another rule requires a certificate from this role; expected cert here, too"


def _powerful(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    rejected = False
    for each in file.rules:
        rule = each.rule
        if rule.type is ConnectionType.LOCAL:
            continue
        if not _allows(rule):
            rejected = rejected or covers(rule, _NO_SUPERUSER)
            continue
        named = SUPERUSER in rule.users
        wide = "all" in rule.users or any(user.startswith(("+", "/")) for user in rule.users)
        if (named or (wide and not rejected)) and not _is_local(rule):
            yield each, "remote superusers can log in; expected a rule before it that rejects them"
    for each in _remote(file):
        rule = each.rule
        if "replication" in rule.databases:
            wide = [user for user in rule.users if user == "all" or user.startswith(("+", "/"))]
            if rule.method is not _M.CERT or wide or rule.address in _EVERYWHERE:
                yield each, "replication copies all data; expected cert, one role and its address"


def _everywhere(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    for each in _remote(file):
        if (each.rule.address or "all") in _EVERYWHERE:
            yield each, "it matches every address; expected the clients' networks"


def _everywhere_together(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    named = [each for each in _remote(file) if "/" in (each.rule.address or "")]
    for version in (4, 6):
        of_version: list[tuple[ParsedRule, Any]] = [
            (each, network)
            for each in named
            if (network := ipaddress.ip_interface(each.rule.address or "").network).version == version
        ]
        parts = [network for _, network in of_version if network.prefixlen]
        if any(network.prefixlen == 0 for network in ipaddress.collapse_addresses(parts)):
            yield of_version[-1][0], "together with other rules it matches every address; expected networks"


def _rejects_all(rule: HbaRule) -> bool:
    named = "all" in rule.databases and "all" in rule.users
    return not _allows(rule) and named and rule.address in _EVERYWHERE


def _is_closed(resource: Resource) -> Iterator[Outcome]:
    for file in carried(resource).hba:
        remote = [each.rule for each in file.rules if each.rule.type is not ConnectionType.LOCAL]
        closing = {rule.type for rule in takewhile(_rejects_all, reversed(remote))}
        both = {ConnectionType.HOSTSSL, ConnectionType.HOSTNOSSL}
        if remote and ConnectionType.HOST not in closing and not both <= closing:
            yield Problem(
                at=file.text.place(file.rules[-1].line_number),
                reason="this is the last rule; expected `host all all all reject`",
            )


def _rule(
    number: str, title: str, severity: Severity, *checks: ResourceCheck, why: str, fix: str, link: str = _HBA
) -> Rule:
    return Rule(
        id=f"PGTLS-{number}",
        title=title,
        area=Area.IDENTITY,
        severity=severity,
        types=TYPES,
        checks=checks,
        why=why,
        fix=fix,
        link=link,
    )


RULES = (
    _rule(
        "N01",
        "pg_hba.conf allows no connections without TLS",
        Severity.CRITICAL,
        _in_files(_without_tls),
        _includes,
        why="Such a rule bypasses the rules that require certificates.",
        fix="replace hostnossl rules by `hostnossl all all all reject`",
    ),
    _rule(
        "N02",
        "pg_hba.conf allows remote connections by hostssl only",
        Severity.CRITICAL,
        _in_files(_perhaps_without_tls),
        why="host, hostgssenc and hostnogssenc also match connections without TLS.",
        fix="use hostssl",
    ),
    _rule(
        "N03",
        "No pg_hba.conf rule shadows a stricter one",
        Severity.CRITICAL,
        _in_files(_shadowed),
        why="The first rule that matches decides, so the later one has no effect.",
        fix="move the stricter rule up, or remove the other one",
    ),
    _rule(
        "N04",
        "pg_hba.conf uses no weak authentication methods",
        Severity.CRITICAL,
        _in_files(_weak),
        why="trust and ident prove nothing; password and md5 disclose the password or a usable hash.",
        fix="use cert, or peer for local connections",
        link=f"{_DOCUMENTATION}/auth-methods.html",
    ),
    _rule(
        "N05",
        "Roles that log in by certificate have no weaker way in",
        Severity.HIGH,
        _in_files(_certificates_only),
        why="An attacker uses the weaker way.",
        fix="use cert in every rule of the role, or scram-sha-256 with clientcert=verify-full",
        link=_CERTIFICATES,
    ),
    _rule(
        "N07",
        "pg_hba.conf rejects remote superusers and restricts replication",
        Severity.HIGH,
        _in_files(_powerful),
        why="Superusers and replication roles can read everything on the server.",
        fix="start with `hostssl all postgres all reject`; let one role replicate, by cert, from its address",
    ),
    _rule(
        "N08",
        "pg_hba.conf names client networks and ends with reject",
        Severity.MEDIUM,
        _in_files(_everywhere),
        _in_files(_everywhere_together),
        _is_closed,
        why="Without a final reject, a rule that is appended later can let in any client.",
        fix="name the client networks, and end with `host all all all reject`",
    ),
)
