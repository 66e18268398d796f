"""One record of pg_hba.conf as a typed value, and its validation."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum

from postgres.authentication_file import comment_problems, literal_of_regex, unquotable


class ConnectionType(StrEnum):
    """The kind of connection that a record matches (pg_hba.conf, first column)."""

    LOCAL = "local"
    HOST = "host"
    HOSTSSL = "hostssl"
    HOSTNOSSL = "hostnossl"
    HOSTGSSENC = "hostgssenc"
    HOSTNOGSSENC = "hostnogssenc"


class AuthenticationMethod(StrEnum):
    """How a client proves who it is (pg_hba.conf, method column)."""

    TRUST = "trust"
    REJECT = "reject"
    SCRAM_SHA_256 = "scram-sha-256"
    MD5 = "md5"
    PASSWORD = "password"
    GSS = "gss"
    SSPI = "sspi"
    IDENT = "ident"
    PEER = "peer"
    LDAP = "ldap"
    RADIUS = "radius"
    CERT = "cert"
    PAM = "pam"
    BSD = "bsd"
    OAUTH = "oauth"


ADDRESS_KEYWORDS = frozenset({"all", "samehost", "samenet"})
DATABASE_KEYWORDS = frozenset({"all", "sameuser", "samerole", "samegroup", "replication"})
USER_KEYWORDS = frozenset({"all"})

_M = AuthenticationMethod
_OPTION_METHODS: dict[str, frozenset[AuthenticationMethod]] = {
    "map": frozenset({_M.IDENT, _M.PEER, _M.GSS, _M.SSPI, _M.CERT, _M.OAUTH}),
    "include_realm": frozenset({_M.GSS, _M.SSPI}),
    "krb_realm": frozenset({_M.GSS, _M.SSPI}),
    "compat_realm": frozenset({_M.SSPI}),
    "upn_username": frozenset({_M.SSPI}),
    "pamservice": frozenset({_M.PAM}),
    "pam_use_hostname": frozenset({_M.PAM}),
    **dict.fromkeys(
        (
            "ldapurl",
            "ldaptls",
            "ldapscheme",
            "ldapserver",
            "ldapport",
            "ldapbinddn",
            "ldapbindpasswd",
            "ldapsearchattribute",
            "ldapsearchfilter",
            "ldapbasedn",
            "ldapprefix",
            "ldapsuffix",
        ),
        frozenset({_M.LDAP}),
    ),
    **dict.fromkeys(
        ("radiusservers", "radiusports", "radiussecrets", "radiusidentifiers"), frozenset({_M.RADIUS})
    ),
    **dict.fromkeys(("issuer", "scope", "validator", "delegate_ident_mapping"), frozenset({_M.OAUTH})),
}
_TLS_OPTIONS = {"clientcert": ("verify-ca", "verify-full"), "clientname": ("CN", "DN")}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One record.

    Entries of `databases` and `users` mean what they mean unquoted in the file: `all`, `sameuser`,
    `samerole`, `samegroup` and `replication` are keywords (for users only `all`), `+group` is the members
    of a role, `/…` a regular expression from 16 on. Anything else is a name, whatever its characters. A
    name that looks like one of these is written in double quotes: see `literal_name`. `address` is None
    for local, else `all`, `samehost`, `samenet`, a host name, or a network in canonical CIDR form (host
    bits kept). `comment` is written in the line above.
    """

    type: ConnectionType
    databases: tuple[str, ...]
    users: tuple[str, ...]
    address: str | None = None
    method: AuthenticationMethod
    options: tuple[tuple[str, str], ...] = ()
    comment: str | None = None


def literal_name(name: str) -> str:
    """The entry of Rule.databases or Rule.users that means exactly the database or role `name`."""
    special = name in DATABASE_KEYWORDS or name.startswith(("/", "+", '"')) or not name
    return '"' + name.replace('"', '""') + '"' if special else name


def name_of_literal(entry: str) -> str | None:
    """The name in an entry with double quotes; None for any other entry."""
    if (
        len(entry) >= 2
        and entry.startswith('"')
        and re.fullmatch(r'(?:[^"]|"")*', entry[1:-1])
        and entry[-1] == '"'
    ):
        return entry[1:-1].replace('""', '"')
    return None


def rule_problems(rule: Rule, major: int) -> list[str]:
    """Why PostgreSQL `major` would refuse `rule`, or read it differently."""
    problems = _name_problems(rule.databases, "database", major) + _name_problems(rule.users, "user", major)
    problems += _address_problems(rule)
    problems += _method_problems(rule, major)
    problems += _option_problems(rule, major)
    if rule.comment is not None:
        problems += comment_problems(rule.comment)
    return problems


def _name_problems(entries: tuple[str, ...], what: str, major: int) -> list[str]:
    problems: list[str] = []
    if not entries:
        problems.append(f"names no {what}; give at least one")
    for entry in entries:
        if unquotable(entry):
            problems.append(
                f"{what} {entry!r} has a line end, a carriage return or NUL, which cannot be quoted"
            )
            continue
        literal = name_of_literal(entry)
        if entry.startswith('"') and literal is None:
            problems.append(
                f"{what} {entry!r} has unbalanced quotes; write a name's quotes twice inside quotes"
            )
        elif literal == "" or not entry or (what == "user" and entry == "+"):
            problems.append(f"{what} {entry!r} is empty; give a name")
        elif literal is not None and literal_name(literal) != entry:
            problems.append(f"{what} {entry!r} needs no quotes here; write {literal!r}")
        elif entry.startswith("/") and major < 16:
            problems.append(f"{what} {entry!r} is a regular expression, which needs PostgreSQL 16")
        elif (literal_of_regex(entry) or "").startswith("/"):
            problems.append(
                f"{what} {entry!r} is the name {literal_of_regex(entry)!r}; write that in double quotes"
            )
        elif entry == "/":
            problems.append(f"{what} {entry!r} is an empty regular expression; give one")
        elif what == "database" and entry.startswith("+"):
            problems.append(
                f"{what} {entry!r} begins with '+', which means nothing for databases; quote the name"
            )
        elif what == "user" and entry in DATABASE_KEYWORDS - USER_KEYWORDS:
            problems.append(f"{what} {entry!r} is a keyword for databases only; quote the name")
    return problems


def _address_problems(rule: Rule) -> list[str]:
    address = rule.address
    if rule.type is ConnectionType.LOCAL:
        return [] if address is None else [f"address {address!r} is not possible on a local line; drop it"]
    if address is None:
        return [f"a {rule.type} line needs an address; give a network in CIDR form"]
    if "/" in address:
        return _network_problems(address)
    if address in ADDRESS_KEYWORDS or host_name_is_plain(address):
        return []
    return [f"address {address!r} is neither a network in CIDR form nor a host name; write 10.30.0.0/24"]


def _network_problems(address: str) -> list[str]:
    try:
        canonical = ipaddress.ip_interface(address).with_prefixlen
    except ValueError:
        return [f"address {address!r} is not a network; give CIDR form such as 10.30.0.0/24"]
    if "%" in address:
        return [f"address {address!r} has an interface scope; drop it"]
    return (
        [f"address {address!r} is not in canonical form; write {canonical}"] if canonical != address else []
    )


def host_name_is_plain(text: str) -> bool:
    """Whether `text` is a host name that no resolver could read as an address.

    getaddrinfo also reads `10.1`, `0x0a000001` and `167772161` as addresses, so the last label must
    contain a letter and must not be a hexadecimal number.
    """
    if len(text) > 253 or not re.fullmatch(
        r"\.?(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]+", text
    ):
        return False
    last = text.rsplit(".", maxsplit=1)[-1]
    return re.search(r"[A-Za-z]", last) is not None and re.fullmatch(r"0[xX][0-9A-Fa-f]*", last) is None


def _method_problems(rule: Rule, major: int) -> list[str]:
    method, local = rule.method, rule.type is ConnectionType.LOCAL
    if method is _M.OAUTH and major < 18:
        return [f"method oauth needs PostgreSQL 18, not {major}"]
    if method is _M.PEER and not local:
        return [f"method peer works on local lines only, not on {rule.type}"]
    if method is _M.GSS and local:
        return ["method gss does not work on local lines"]
    if method is _M.CERT and rule.type is not ConnectionType.HOSTSSL:
        return [f"method cert works on hostssl lines only, not on {rule.type}"]
    return []


def _option_problems(rule: Rule, major: int) -> list[str]:
    problems: list[str] = []
    names = [name for name, _ in rule.options]
    problems += [
        f"option {name!r} is given twice" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    for name, value in rule.options:
        if unquotable(value):
            problems.append(f"option {name!r} has a value with a line end, a carriage return or NUL")
        if name in _TLS_OPTIONS:
            problems += _tls_option_problems(rule, name, value)
        elif name not in _OPTION_METHODS:
            problems.append(f"option {name!r} is not known to PostgreSQL {major}")
        elif rule.method not in _OPTION_METHODS[name]:
            methods = ", ".join(sorted(_OPTION_METHODS[name]))
            problems.append(f"option {name!r} goes with {methods} only, not with {rule.method}")
        elif not value:
            problems.append(f"option {name!r} has no value")
    return problems


def _tls_option_problems(rule: Rule, name: str, value: str) -> list[str]:
    if rule.type is not ConnectionType.HOSTSSL:
        return [f"option {name!r} works on hostssl lines only, not on {rule.type}"]
    if value not in _TLS_OPTIONS[name]:
        return [f"option {name}={value!r} is not one of {', '.join(_TLS_OPTIONS[name])}"]
    if rule.method is _M.CERT and value == "verify-ca":
        return ["option clientcert=verify-ca contradicts cert, which always verifies the name; drop it"]
    return []
