"""What turns TLS or authentication off in programs, environments and commands: one table per subject.

Each row is what a driver's or image's own documentation calls it. Comments count for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from policy.text.connection_strings import connection_strings
from policy.text.embedded_text import Text

_TO = r"['\"\]]*\s*(?:=>|[=:,]|\s)\s*['\"]?"
"""Between a name and its value, in shells, JSON, YAML, Dockerfiles, SQL and programs."""
_LIBPQ = "https://www.postgresql.org/docs/current/libpq-ssl.html"
_INITDB = "https://www.postgresql.org/docs/current/app-initdb.html"
_NODE = "https://node-postgres.com/features/ssl"


class Weakening(NamedTuple):
    """One way to turn something off.

    Attributes:
        pattern: How it is written. The group `what` is what a message quotes, and never a secret.
        why: What is wrong with it, and what is right.
        source: The documentation that it is from.
    """

    pattern: re.Pattern[str]
    why: str
    source: str


def _weakening(pattern: str, why: str, source: str) -> Weakening:
    """A row; all of the pattern is quoted, unless it says what."""
    whole = pattern if "(?P<what>" in pattern else f"(?P<what>{pattern})"
    return Weakening(re.compile(whole), why, source)


_UNVERIFIED = "it accepts any certificate; verify the server's certificate and name"

TLS = (
    _weakening(
        rf"\bNODE_TLS_REJECT_UNAUTHORIZED{_TO}0\b",
        _UNVERIFIED,
        "https://nodejs.org/api/cli.html#node_tls_reject_unauthorizedvalue",
    ),
    _weakening(rf"(?i:\b\w*reject_?unauthorized{_TO}(?:false|!1|0|no|off)\b)", _UNVERIFIED, _NODE),
    _weakening(
        r"(?i:\bsslfactory\s*=\s*[\w.]*NonValidatingFactory\b)|\bNonValidatingFactory\b",
        _UNVERIFIED,
        "https://jdbc.postgresql.org/documentation/ssl/",
    ),
    _weakening(
        r"\b(?P<what>(?:User|Remote)CertificateValidationCallback)\s*=[^;\n]{0,80}=>\s*true",
        _UNVERIFIED,
        "https://www.npgsql.org/doc/security.html",
    ),
    _weakening(
        r"\bSslMode\.(?:Disable|Allow|Prefer|Require|VerifyCA)\b",
        "expected SslMode.VerifyFull",
        "https://www.npgsql.org/doc/security.html",
    ),
    _weakening(
        r"\bInsecureSkipVerify\s*:\s*true\b",
        _UNVERIFIED,
        "https://pkg.go.dev/crypto/tls#Config",
    ),
    _weakening(
        r"\bdanger_accept_invalid_(?:certs|hostnames)\(\s*true",
        _UNVERIFIED,
        "https://docs.rs/native-tls/latest/native_tls/struct.TlsConnectorBuilder.html",
    ),
    _weakening(
        r"\bPgSslMode::(?:Disable|Allow|Prefer|Require|VerifyCa)\b",
        "expected PgSslMode::VerifyFull",
        "https://docs.rs/sqlx/latest/sqlx/postgres/enum.PgSslMode.html",
    ),
    _weakening(
        r"\bSSLMode\.(?:DISABLE|ALLOW|PREFER|REQUIRE|VERIFY_CA|TUNNEL)\b",
        "expected SSLMode.VERIFY_FULL",
        "https://github.com/pgjdbc/r2dbc-postgresql",
    ),
    _weakening(
        r"\bCERT_NONE\b|\bcheck_hostname\s*=\s*False\b|\b_create_unverified_context\b|\bverify\s*=\s*False\b",
        _UNVERIFIED,
        "https://docs.python.org/3/library/ssl.html#ssl-security",
    ),
    _weakening(
        r"\bPYTHONHTTPSVERIFY['\"]?\s*[=:]\s*['\"]?0\b", _UNVERIFIED, "https://peps.python.org/pep-0493/"
    ),
    _weakening(
        r"\b(?:SSL::)?VERIFY_NONE\b|\bverify_none\b|\bSslVerifyMode::NONE\b",
        _UNVERIFIED,
        "https://docs.openssl.org/master/man3/SSL_CTX_set_verify/",
    ),
    _weakening(
        r"\bsetTrustAll\(\s*true", _UNVERIFIED, "https://vertx.io/docs/vertx-pg-client/java/#_using_ssltls"
    ),
)
"""Ways that count wherever they are written."""

OF_CONNECTIONS = (
    _weakening(
        rf"(?i:\btrust_?server_?certificate{_TO}(?:true|1|yes)\b)",
        _UNVERIFIED,
        "https://www.npgsql.org/doc/security.html",
    ),
    _weakening(
        r"(?i:\bssl\s*[=:]\s*['\"]?(?:no-verify|require|allow|prefer|disable)\b)",
        "expected verification of the server's certificate and name",
        "https://github.com/porsager/postgres#ssl",
    ),
    _weakening(
        rf"(?i:\b\w*ssl_?-?mode{_TO}(?:disabled?|allow(?:ed)?|prefer(?:red)?|required?|no-verify|verify[_-]?ca)\b)",
        "expected verify-full",
        _LIBPQ,
    ),
    _weakening(
        rf"\b\w*(?:DB|DATABASE|PG|PGSQL|POSTGRES|POSTGRESQL)_(?:USE_|ENABLE_)?(?:SSL|TLS){_TO}"
        r"(?i:false|0|off|no|disabled?)\b",
        "expected TLS with verification",
        _LIBPQ,
    ),
)
"""Ways that count outside of connection strings, which are judged as a whole, and beyond the machine."""

TRUST = (
    _weakening(
        rf"\bPOSTGRES_HOST_AUTH_METHOD{_TO}(?:trust|md5|password|ident)\b",
        "expected scram-sha-256, and cert in a pg_hba.conf of the stack",
        "https://hub.docker.com/_/postgres",
    ),
    _weakening(
        r"--auth(?:-host|-local)?[=\s]+['\"]?(?:trust|md5|password|ident)\b",
        "expected --auth-host=scram-sha-256 or cert, and --auth-local=peer",
        _INITDB,
    ),
    _weakening(
        r"\b(?:initdb|pg_createcluster|pg_ctl\s+init(?:db)?)\b[^\n;|&]{0,200}?"
        r"[\s'\"](?P<what>-A\s*['\"]?(?:trust|md5|password|ident)\b)",
        "expected --auth-host=scram-sha-256 or cert, and --auth-local=peer",
        _INITDB,
    ),
    _weakening(
        r"(?m:^auth(?:-host|-local)?\s*[=:]\s*(?:trust|md5|password|ident)$)",
        "expected scram-sha-256 or cert, and peer for auth-local",
        "https://patroni.readthedocs.io/en/latest/patroni_configuration.html",
    ),
    _weakening(
        rf"\bALLOW_EMPTY_PASSWORD{_TO}(?:yes|true|1)\b",
        "expected a server that lets nobody in without proof",
        "https://github.com/bitnami/containers/tree/main/bitnami/postgresql",
    ),
)
"""Ways to make a server that trusts its clients, or takes their passwords in a usable form."""

_HINT = re.compile(
    r"(?i)ssl|tls|verif|cert|unauthorized|trust|check_hostname|auth|empty_password|initdb|createcluster|\binit\b"
)
_COMMENT = re.compile(r"(?m)^(?:[ \t]*(?:#(?!!)|//|--[ \t]|;|/\*)|[ \t]+\*(?:[ \t/]|$)).*$")
_HOST = re.compile(r"\b(?:PG|PG_|DB_|DATABASE_|POSTGRES_)HOST(?:ADDR)?['\"]?\s*[=:]\s*['\"]?([^\s'\",;]+)")
_LONGEST_NAMED = 4096


class Found(NamedTuple):
    """One weakening in a text.

    Attributes:
        offset: Where it is.
        quoted: What is written there.
        why: What is wrong with it.
    """

    offset: int
    quoted: str
    why: str


def without_comments(content: str) -> str:
    """The text with spaces in place of whole lines of comment, so that offsets stay."""
    return _COMMENT.sub(lambda match: " " * len(match[0]), content)


def weak_tls(text: Text) -> tuple[Found, ...]:
    """What lets a program accept any certificate."""
    return _search(TLS, *_stated(text))


def weak_connections(text: Text) -> tuple[Found, ...]:
    """What weakens connections outside of connection strings."""
    content, before = _stated(text)
    found = _search(OF_CONNECTIONS, content, before)
    if not found:
        return ()
    spans = [(each.offset - before, each.end - before) for each in connection_strings(content)]
    return tuple(each for each in found if not any(start <= each.offset < end for start, end in spans))


def hosts(text: Text) -> list[str]:
    """The hosts of databases that variables name."""
    return _HOST.findall(_stated(text)[0])


def weak_authentication(text: Text) -> tuple[Found, ...]:
    """What makes a server that trusts its clients."""
    return _search(TRUST, *_stated(text))


def _stated(text: Text) -> tuple[str, int]:
    """The text and the length of what is before it: `NAME=` where it is the value of a variable."""
    name = text.name.rpartition("/")[2]
    if not name or "\n" in text.content.strip() or len(text.content) > _LONGEST_NAMED:
        return text.content, 0
    return f"{name}={text.content}", len(name) + 1


@lru_cache(maxsize=2048)
def _search(table: tuple[Weakening, ...], content: str, before: int) -> tuple[Found, ...]:
    if not _HINT.search(content):
        return ()
    searched = without_comments(content)
    return tuple(found for each in table for found in _matches(each, searched, before))


def _matches(weakening: Weakening, content: str, before: int) -> Iterator[Found]:
    for match in weakening.pattern.finditer(content):
        quoted = " ".join(match["what"].split())
        yield Found(max(match.start() - before, 0), quoted, weakening.why)
