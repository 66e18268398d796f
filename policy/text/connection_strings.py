"""PostgreSQL connection strings in any text: libpq URIs and keywords, JDBC, Npgsql, SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

_URI = re.compile(r"""(?:jdbc:)?postgres(?:ql)?(?:\+\w+)?://[^\s"'<>`\\]+""", re.IGNORECASE)
_KEYWORDS = re.compile(
    r"""(?:\b(?:host|hostaddr|port|dbname|user|password|sslmode|sslcert|sslkey|sslrootcert|sslnegotiation|"""
    r"""ssl_min_protocol_version|application_name|connect_timeout|channel_binding|require_auth)"""
    r"""\s*=\s*(?:'[^']*'|[^\s;"'`]+)[\s\\]*){2,}""",
    re.IGNORECASE,
)
_NPGSQL = re.compile(
    r"""(?:\b(?:Host|Server|Port|Database|Username|User Id|User|Password|SSL ?Mode|"""
    r"""Trust Server Certificate|Client Certificate|Client Key|SSL Certificate|SSL Key|Root Certificate|"""
    r"""Pooling|Timeout)\s*=\s*[^;"'`\n]*;[\s"+]*){2,}(?:\b[\w ]+=[^;"'`\n]*)?""",
    re.IGNORECASE,
)
_PAIR = re.compile(r"(\w+)\s*=\s*('[^']*'|[^\s;\"'`\\]+)")
_WEAK_PROTOCOLS = ("tlsv1", "tlsv1.1", "sslv3")


@dataclass(frozen=True, kw_only=True)
class ConnectionString:
    """One connection string.

    Attributes:
        kind: Its format.
        offset: Where it begins in the text.
        parameters: Its parameters, by lower-case name without spaces.
    """

    kind: str
    offset: int = 0
    parameters: dict[str, str] = field(repr=False)

    def problems(self) -> list[str]:
        """What weakens it; empty where it verifies the server completely."""
        given = self.parameters
        mode = given.get("sslmode", "").lower().replace("verifyfull", "verify-full")
        found = []
        if mode != "verify-full":
            # Only what looks like a mode is quoted: anything else could be part of a password.
            shown = f"is {mode}" if re.fullmatch(r"[a-z-]{1,12}", mode) else "is missing or unreadable"
            found.append(f"sslmode {shown}; expected verify-full")
        elif not (given.get("sslrootcert") or given.get("rootcertificate")):
            found.append("sslrootcert is missing")
        if given.get("trustservercertificate", "").lower() in ("true", "1", "yes"):
            found.append("Trust Server Certificate accepts any certificate; remove it")
        if given.get("ssl_min_protocol_version", "").lower() in _WEAK_PROTOCOLS:
            found.append("ssl_min_protocol_version is below TLSv1.2; expected TLSv1.2 or TLSv1.3")
        return found

    @property
    def has_password(self) -> bool:
        """Whether it contains a password; a reference to a variable does not count."""
        password = self.parameters.get("password", "")
        return bool(password) and not re.match(r"[$<{%]", password)


def connection_strings(text: str) -> Iterator[ConnectionString]:
    """Every connection string in a text."""
    if "=" not in text and "://" not in text:
        return
    for match in _URI.finditer(text):
        try:
            parts = urlsplit(match[0].removeprefix("jdbc:").removeprefix("JDBC:"))
            parameters = {key.lower(): value for key, value in parse_qsl(parts.query)}
            if parts.password:
                parameters["password"] = parts.password
        except ValueError:
            continue
        yield ConnectionString(kind="URI", offset=match.start(), parameters=parameters)
    rest = _URI.sub(_blank, text)
    for match in _NPGSQL.finditer(rest):
        pairs = [each.partition("=") for each in re.split(r"[;\"+\n]+", match[0]) if "=" in each]
        parameters = {key.strip().lower().replace(" ", ""): value.strip() for key, _, value in pairs}
        if parameters.keys() & {"host", "server"} and parameters.keys() & {"username", "userid", "database"}:
            yield ConnectionString(kind="Npgsql", offset=match.start(), parameters=parameters)
    rest = _NPGSQL.sub(_blank, rest)
    for match in _KEYWORDS.finditer(rest):
        parameters = {key.lower(): value.strip("'") for key, value in _PAIR.findall(match[0])}
        if parameters.keys() & {"host", "hostaddr"} and parameters.keys() & {"dbname", "user"}:
            yield ConnectionString(kind="keyword/value", offset=match.start(), parameters=parameters)


def _blank(match: re.Match[str]) -> str:
    """As many spaces, so that the offsets of what follows stay."""
    return " " * len(match[0])
