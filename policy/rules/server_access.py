"""pg_hba.conf and pg_ident.conf, wherever they travel: who gets in, from where, by what."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from itertools import takewhile

from policy.registered import Resource
from policy.rule import Area, Outcome, Problem, ResourceCheck, Rule, Severity, Unclear
from policy.server_files import CARRIERS, NEWEST, HbaFile, IdentFile, carried, shown
from policy.values import UndecidedError
from postgres.hba import AuthenticationMethod, ConnectionType, ParsedRule, analyse_hba
from postgres.hba import Rule as HbaRule
from postgres.hba_analysis import SUPERUSER
from postgres.hba_text import rule_line

_DOCUMENTATION = "https://www.postgresql.org/docs/current"
_HBA = f"{_DOCUMENTATION}/auth-pg-hba-conf.html"
_CERTIFICATES = f"{_DOCUMENTATION}/auth-cert.html"
_MAPS = f"{_DOCUMENTATION}/auth-username-maps.html"
_TYPES = tuple(CARRIERS)
_M = AuthenticationMethod
_EVERYWHERE = ("all", "0.0.0.0/0", "::/0")

FileCheck = Callable[[HbaFile], Iterator[tuple[ParsedRule, str]]]


def _stays_on_the_machine(rule: HbaRule) -> bool:
    if rule.type is ConnectionType.LOCAL:
        return True
    if rule.address is None or "/" not in rule.address:
        return False
    return ipaddress.ip_interface(rule.address).network.is_loopback


def _lets_in(rule: HbaRule) -> bool:
    return rule.method is not _M.REJECT


def _remote(file: HbaFile) -> list[ParsedRule]:
    return [each for each in file.rules if _lets_in(each.rule) and not _stays_on_the_machine(each.rule)]


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
        if files.hidden:
            raise UndecidedError(f"{' and '.join(files.hidden)} is not known before the update")

    return of_resource


def _in_plain_text(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    for each in file.rules:
        if each.rule.type is ConnectionType.HOSTNOSSL and _lets_in(each.rule):
            yield each, "it lets clients in without TLS; expected reject"


def _includes(resource: Resource) -> Iterator[Outcome]:
    for file in carried(resource).hba:
        for include in file.includes:
            place = file.text.place(include.number)
            yield Unclear(why=f"{place} includes another file, which cannot be checked here")


def _perhaps_plain_text(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    for each in _remote(file):
        if each.rule.type not in (ConnectionType.HOSTSSL, ConnectionType.HOSTNOSSL):
            yield each, f"{each.rule.type} matches connections without TLS too; expected hostssl"


def _shadowed(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    by_line = {each.line_number: each for each in file.rules}
    for finding in analyse_hba(file.rules, NEWEST):
        if finding.code == "unreachable" and finding.severity == "error":
            yield by_line[finding.line_number], finding.message.partition("): ")[2]


def _weak(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    for each in file.rules:
        if each.rule.method in (_M.TRUST, _M.PASSWORD, _M.MD5, _M.IDENT):
            yield each, f"{each.rule.method} proves nothing or gives the password away; expected cert"


def _certificates_only(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    named = {
        user
        for each in _remote(file)
        if each.rule.method is _M.CERT
        for user in each.rule.users
        if user != "all" and not user.startswith(("+", "/"))
    }
    weaker = (_M.TRUST, _M.PASSWORD, _M.MD5, _M.IDENT)  # those are N04
    for each in _remote(file):
        rule = each.rule
        options = dict(rule.options)
        if options.get("clientcert") == "verify-ca":
            yield each, "any certificate of the authority will do; expected clientcert=verify-full"
        elif (
            rule.method is not _M.CERT
            and rule.method not in weaker
            and named & set(rule.users)
            and options.get("clientcert") != "verify-full"
        ):
            yield each, "another rule lets this role in by certificate; this one by less"


def _powerful(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    by_line = {each.line_number: each for each in file.rules}
    for finding in analyse_hba(file.rules, NEWEST):
        if finding.code in ("remote-superuser", "superuser-not-rejected"):
            parsed = by_line[finding.line_number]
            reachable = {"all", SUPERUSER} & set(parsed.rule.users) or any(
                user.startswith(("+", "/")) for user in parsed.rule.users
            )
            if reachable and not _stays_on_the_machine(parsed.rule):
                yield parsed, "the superuser gets in from outside; reject it before"
    for each in _remote(file):
        rule = each.rule
        if "replication" in rule.databases:
            wide = [user for user in rule.users if user == "all" or user.startswith(("+", "/"))]
            if rule.method is not _M.CERT or wide or rule.address in _EVERYWHERE:
                yield each, "replication copies everything; expected cert, one role and its address"


def _everywhere(file: HbaFile) -> Iterator[tuple[ParsedRule, str]]:
    for each in _remote(file):
        if (each.rule.address or "all") in _EVERYWHERE:
            yield each, "clients come from everywhere; expected their networks"


def _rejects_all(rule: HbaRule) -> bool:
    named = "all" in rule.databases and "all" in rule.users
    return not _lets_in(rule) and named and rule.address in _EVERYWHERE


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


def _maps(resource: Resource) -> Iterator[Outcome]:
    files = carried(resource)
    local = {
        dict(each.rule.options).get("map")
        for file in files.hba
        for each in file.rules
        if each.rule.method is _M.PEER
    }

    def judge(file: IdentFile) -> Iterator[Outcome]:
        for line in file.unreadable:
            yield Problem(at=file.text.place(line.number), reason=shown(file.text, line))
        for number, mapping in file.mappings:
            if mapping.database_user == SUPERUSER and mapping.map_name not in local:
                yield Problem(at=file.text.place(number), reason="it maps to the superuser")

    for file in files.ident:
        yield from judge(file)
    if files.hidden:
        raise UndecidedError(f"{' and '.join(files.hidden)} is not known before the update")


def _rule(
    number: str, title: str, severity: Severity, *checks: ResourceCheck, why: str, fix: str, link: str = _HBA
) -> Rule:
    return Rule(
        id=f"PGTLS-{number}",
        title=title,
        area=Area.IDENTITY,
        severity=severity,
        types=_TYPES,
        checks=checks,
        why=why,
        fix=fix,
        link=link,
    )


RULES = (
    _rule(
        "N01",
        "pg_hba.conf lets nobody in without TLS",
        Severity.CRITICAL,
        _in_files(_in_plain_text),
        _includes,
        why="Beside a rule for certificates, such a rule is the way around it.",
        fix="replace hostnossl rules by `hostnossl all all all reject`",
    ),
    _rule(
        "N02",
        "pg_hba.conf lets clients in by hostssl only",
        Severity.CRITICAL,
        _in_files(_perhaps_plain_text),
        why="host, hostgssenc and hostnogssenc match connections without TLS.",
        fix="write hostssl instead",
    ),
    _rule(
        "N03",
        "No rule of pg_hba.conf hides a stricter one",
        Severity.CRITICAL,
        _in_files(_shadowed),
        why="The first rule that matches decides, so the later one has no effect.",
        fix="put the stricter rule first, or remove the other",
    ),
    _rule(
        "N04",
        "pg_hba.conf asks for a proof",
        Severity.CRITICAL,
        _in_files(_weak),
        why="trust and ident prove nothing; password and md5 give the password away.",
        fix="use cert; peer on the machine itself",
        link=f"{_DOCUMENTATION}/auth-methods.html",
    ),
    _rule(
        "N05",
        "A role that comes by certificate comes by nothing else",
        Severity.HIGH,
        _in_files(_certificates_only),
        why="The weaker way is the one that is attacked.",
        fix="use cert in every rule of the role, or scram-sha-256 with clientcert=verify-full",
        link=_CERTIFICATES,
    ),
    _rule(
        "N06",
        "pg_ident.conf leads from one name to one role, never to the superuser",
        Severity.HIGH,
        _maps,
        why="Whoever gets a certificate with a name that matches becomes that role.",
        fix="name each system user, or anchor the expression with ^ and $; map nobody to the superuser",
        link=_MAPS,
    ),
    _rule(
        "N07",
        "pg_hba.conf keeps the superuser out, and names who replicates",
        Severity.HIGH,
        _in_files(_powerful),
        why="Both see everything that the server holds.",
        fix="begin with `hostssl all postgres all reject`; let one role replicate, by cert, from its address",
    ),
    _rule(
        "N08",
        "pg_hba.conf names networks, and ends by rejecting everybody",
        Severity.MEDIUM,
        _in_files(_everywhere),
        _is_closed,
        why="A rule that is added later at the end would let in what nobody thought of.",
        fix="name networks, and end with `host all all all reject`",
    ),
)
