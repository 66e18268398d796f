"""What is wrong with a pg_hba.conf that PostgreSQL itself would accept."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from postgres.access import MACHINE_MAP
from postgres.hba_coverage import covers, first_covering
from postgres.hba_parser import ParsedRule
from postgres.hba_rendering import rule_line
from postgres.hba_rule import (
    ADDRESS_KEYWORDS,
    DATABASE_KEYWORDS,
    AuthenticationMethod,
    ConnectionType,
    Rule,
)
from postgres.identifiers import SUPERUSER
from postgres.networks import are_everywhere
from postgres.versions import require_supported

Severity = Literal["error", "warning"]

LARGEST_NETWORK = {4: 16, 6: 48}
"""Shortest prefix per IP version that is not wide (CIS PostgreSQL 5.9: at most 65536 addresses)."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. A file with an `error` must not be applied.

    `line_number` counts from 1, and is 0 for the file as a whole. `code` does not change between versions.
    """

    line_number: int
    severity: Severity
    code: str
    message: str


def analyse_hba(parsed: Sequence[ParsedRule], major: int) -> list[Finding]:
    """Everything wrong with the rules, in the order of their lines.

    Errors: a rule that lets remote clients in without TLS, without a certificate, with a password, from
    everywhere, as the superuser, by the machine's map or for replication; the superuser not rejected
    before the first rule that lets remote clients in; a local method other than peer; the machine itself
    locked out; a rule that can never match because an earlier one decides differently. Warnings: what is
    wider than necessary, or has no effect.
    """
    require_supported(major)
    findings = [finding for entry in parsed for finding in _rule_findings(entry, major)]
    findings += _everywhere_findings(parsed)
    findings += _superuser_findings(parsed, major)
    findings += _unreachable_findings(parsed, major)
    findings += _whole_file_findings(parsed)
    return sorted(findings, key=lambda finding: (finding.line_number, finding.severity, finding.code))


def _finding(entry: ParsedRule, major: int, severity: Severity, code: str, text: str) -> Finding:
    message = f"pg_hba.conf line {entry.line_number} ({rule_line(entry.rule, major)}): {text}"
    return Finding(line_number=entry.line_number, severity=severity, code=code, message=message)


def _rule_findings(entry: ParsedRule, major: int) -> list[Finding]:
    rule = entry.rule
    if rule.method is AuthenticationMethod.REJECT:
        return []

    def finding(severity: Severity, code: str, text: str) -> Finding:
        return _finding(entry, major, severity, code, text)

    if rule.type is ConnectionType.LOCAL:
        return _local_findings(rule, finding)
    findings: list[Finding] = []
    if rule.type is not ConnectionType.HOSTSSL:
        findings.append(finding("error", "without-tls", "lets remote clients in without TLS; use hostssl"))
    if rule.method is AuthenticationMethod.TRUST:
        findings.append(finding("error", "trust", "lets anyone in as any role it names; use cert"))
    elif rule.method is not AuthenticationMethod.CERT:
        findings.append(
            finding("error", "without-certificate", f"lets remote clients in by {rule.method}; only cert may")
        )
    if dict(rule.options).get("map") == MACHINE_MAP:
        text = f"uses the map {MACHINE_MAP}, which lets users of the machine in, for remote logins; drop it"
        findings.append(finding("error", "remote-machine-map", text))
    findings += _name_findings(rule, finding)
    findings += _address_findings(rule, finding)
    return findings


def _local_findings(rule: Rule, finding: Callable[[Severity, str, str], Finding]) -> list[Finding]:
    if rule.method is not AuthenticationMethod.PEER:
        return [finding("error", "local-not-peer", f"lets local users in by {rule.method}; only peer may")]
    if "all" in rule.users and "map" not in dict(rule.options):
        text = "lets every user of the machine in as the role of the same name; name the role and a map"
        return [finding("warning", "local-all-users", text)]
    return []


def _name_findings(rule: Rule, finding: Callable[[Severity, str, str], Finding]) -> list[Finding]:
    findings: list[Finding] = []
    if SUPERUSER in rule.users:
        findings.append(
            finding("error", "remote-superuser", f"names the superuser {SUPERUSER!r} for remote logins")
        )
    if "replication" in rule.databases:
        text = "lets remote clients replicate the whole cluster; no replication is declared"
        findings.append(finding("error", "remote-replication", text))
    wide_users = [user for user in rule.users if user == "all" or user.startswith(("+", "/"))]
    if wide_users:
        text = f"names roles by {', '.join(map(repr, wide_users))}; name each role"
        findings.append(finding("warning", "user-not-named", text))
    wide_databases = [
        name for name in rule.databases if name in DATABASE_KEYWORDS - {"replication"} or name.startswith("/")
    ]
    if wide_databases:
        text = f"names databases by {', '.join(map(repr, wide_databases))}; name each database"
        findings.append(finding("warning", "database-not-named", text))
    return findings


def _address_findings(rule: Rule, finding: Callable[[Severity, str, str], Finding]) -> list[Finding]:
    address = rule.address or "all"
    if address == "all":
        return [
            finding("error", "address-everywhere", "lets clients in from everywhere; name their networks")
        ]
    if address in ADDRESS_KEYWORDS:
        text = f"{address} depends on the machine's interfaces; name the networks"
        return [finding("warning", "address-not-named", text)]
    if "/" not in address:
        text = f"host name {address!r} is only as trustworthy as reverse DNS; give a network in CIDR form"
        return [finding("error", "host-name", text)]
    interface = ipaddress.ip_interface(address)
    if interface.network.prefixlen == 0:
        return [
            finding("error", "address-everywhere", "lets clients in from everywhere; name their networks")
        ]
    findings: list[Finding] = []
    if interface.ip != interface.network.network_address:
        findings.append(finding("warning", "host-bits", f"PostgreSQL reads {address} as {interface.network}"))
    shortest = LARGEST_NETWORK[interface.version]
    if interface.network.prefixlen < shortest:
        text = f"{interface.network} is a wide network; name networks of /{shortest} or smaller"
        findings.append(finding("warning", "address-wide", text))
    return findings


def _everywhere_findings(parsed: Sequence[ParsedRule]) -> list[Finding]:
    """An error where rules that each name a network let clients in from everywhere together."""
    networks = [
        ipaddress.ip_network(rule.address, strict=False)
        for rule in (entry.rule for entry in parsed)
        if rule.method is not AuthenticationMethod.REJECT and rule.address and "/" in rule.address
    ]
    if not are_everywhere(network for network in networks if network.prefixlen):
        return []
    message = (
        "pg_hba.conf: its lines together let clients in from half of the internet or more; "
        "name their networks"
    )
    return [Finding(line_number=0, severity="error", code="address-everywhere", message=message)]


def _superuser_findings(parsed: Sequence[ParsedRule], major: int) -> list[Finding]:
    """An error at the first rule for remote clients, unless an earlier one rejects the superuser over TLS."""
    guard = Rule(
        type=ConnectionType.HOSTSSL,
        databases=("all",),
        users=(SUPERUSER,),
        address="all",
        method=AuthenticationMethod.REJECT,
    )
    for entry in parsed:
        rule = entry.rule
        if rule.type is ConnectionType.LOCAL:
            continue
        if rule.method is AuthenticationMethod.REJECT:
            if covers(rule, guard):
                return []
            continue
        wanted = rule_line(guard, major)
        text = f"lets remote clients in before the superuser is rejected; put `{wanted}` above it"
        return [_finding(entry, major, "error", "superuser-not-rejected", text)]
    return []


def _unreachable_findings(parsed: Sequence[ParsedRule], major: int) -> list[Finding]:
    findings: list[Finding] = []
    earlier_positions = first_covering([entry.rule for entry in parsed])
    for entry, position in zip(parsed, earlier_positions, strict=True):
        if position is None:
            continue
        earlier = parsed[position]
        same = (earlier.rule.method, earlier.rule.options) == (entry.rule.method, entry.rule.options)
        text = (
            f"is never reached: line {earlier.line_number} ({rule_line(earlier.rule, major)}) decides first"
        )
        findings.append(_finding(entry, major, "warning" if same else "error", "unreachable", text))
    return findings


def _whole_file_findings(parsed: Sequence[ParsedRule]) -> list[Finding]:
    findings: list[Finding] = []
    rules = [entry.rule for entry in parsed]
    if not any(_lets_the_machine_in(rule) for rule in rules):
        message = (
            f"pg_hba.conf has no line such as `local all {SUPERUSER} peer map=machine`: "
            "the machine itself could not manage its server"
        )
        findings.append(Finding(line_number=0, severity="error", code="machine-locked-out", message=message))
    for connection_type, why in (
        (ConnectionType.HOSTNOSSL, "without TLS"),
        (ConnectionType.HOSTGSSENC, "with GSS encryption"),
        (ConnectionType.HOST, "that nothing else matched"),
    ):
        closing = Rule(
            type=connection_type,
            databases=("all",),
            users=("all",),
            address="all",
            method=AuthenticationMethod.REJECT,
        )
        if not any(rule.method is AuthenticationMethod.REJECT and covers(rule, closing) for rule in rules):
            message = (
                f"pg_hba.conf has no `{connection_type} all all all reject`: clients {why} get no clear error"
            )
            findings.append(Finding(line_number=0, severity="warning", code="not-closed", message=message))
    return findings


def _lets_the_machine_in(rule: Rule) -> bool:
    return (
        rule.type is ConnectionType.LOCAL
        and rule.method is AuthenticationMethod.PEER
        and "all" in rule.databases
        and bool({SUPERUSER, "all"} & set(rule.users))
    )
