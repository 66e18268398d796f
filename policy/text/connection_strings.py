"""PostgreSQL connection strings in any text: libpq URIs and keywords, JDBC, Npgsql, SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

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
_FULL = "verify-full"
_LOCAL = re.compile(r"|localhost|::1|\[::1\]|127(?:\.[0-9]{1,3}){3}|[/@].*", re.IGNORECASE)
# What `ssl=` means where no sslmode is given, by the beginning of the URI. To libpq `ssl=true` is `require`.
_SSL_IS: Mapping[str, Mapping[str, str]] = {
    # jdbc.postgresql.org, "Connecting to the Database", ssl: verify-full since 42.2.5 of 2018.
    "jdbc:": {"true": _FULL, "": _FULL},
    # SQLAlchemy passes it to asyncpg's `ssl`, which takes a mode; `databases` makes a context that verifies.
    "postgresql+asyncpg:": {"true": _FULL, _FULL: _FULL, "verify-ca": "verify-ca", "require": "require"},
}


@dataclass(frozen=True, kw_only=True)
class ConnectionString:
    """One connection string.

    Attributes:
        kind: Its format.
        offset: Where it begins in the text.
        end: Where it ends.
        parameters: Its parameters, by lower-case name without spaces.
        hosts: Where it leads; folders of sockets among them, and empty for the default one.
    """

    kind: str
    offset: int = 0
    end: int = 0
    parameters: dict[str, str] = field(repr=False)
    hosts: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it stays on the machine: by a socket or by loopback, where nobody is on the path."""
        return bool(self.hosts) and all(map(is_local_host, self.hosts))

    def problems(self) -> list[str]:
        """What weakens it; empty where it verifies the server completely, or needs to verify none."""
        given = self.parameters
        mode = given.get("sslmode", "").lower().replace("verifyfull", _FULL)
        found = []
        if self.is_local:
            return found
        if mode != _FULL:
            # Only what looks like a mode is quoted: anything else could be part of a password.
            shown = f"is {mode}" if re.fullmatch(r"[a-z-]{1,12}", mode) else "is missing or unreadable"
            found.append(f"sslmode {shown}; expected verify-full")
        if given.get("trustservercertificate", "").lower() in ("true", "1", "yes"):
            found.append("Trust Server Certificate accepts any certificate; remove it")
        if given.get("ssl_min_protocol_version", "").lower() in _WEAK_PROTOCOLS:
            found.append("ssl_min_protocol_version is below TLSv1.2; expected TLSv1.2 or TLSv1.3")
        return found

    @property
    def trusts_by_default(self) -> bool:
        """Whether it verifies the server by authorities that it does not name.

        That is no way in: libpq, pgjdbc and asyncpg refuse to connect without `~/.postgresql/root.crt`,
        pgx, Npgsql and node-postgres use those of the system.
        """
        return not (
            self.is_local or self.parameters.get("sslrootcert") or self.parameters.get("rootcertificate")
        )

    @property
    def has_password(self) -> bool:
        """Whether it contains a password; a reference to a variable does not count."""
        password = self.parameters.get("password", "")
        return bool(password) and not re.match(r"[$<{%]", password)


def is_local_host(host: str) -> bool:
    """Whether a host is this machine: loopback, a folder of sockets, or nothing, which is the default one."""
    return _LOCAL.fullmatch(host) is not None


@lru_cache(maxsize=1024)
def connection_strings(text: str) -> tuple[ConnectionString, ...]:
    """Every connection string in a text."""
    return tuple(_found(text))


def _found(text: str) -> Iterator[ConnectionString]:
    if "=" not in text and "://" not in text:
        return
    for match in _URI.finditer(text):
        try:
            found = _of_uri(match[0], match.start())
        except ValueError:
            continue
        # Without a host libpq uses the default socket, unless the environment names another one.
        yield found if "PGHOST" not in text or any(found.hosts) else replace(found, hosts=())
    rest = _URI.sub(_blank, text)
    for match in _NPGSQL.finditer(rest):
        pairs = [each.partition("=") for each in re.split(r"[;\"+\n]+", match[0]) if "=" in each]
        parameters = {key.strip().lower().replace(" ", ""): value.strip() for key, _, value in pairs}
        if parameters.keys() & {"host", "server"} and parameters.keys() & {"username", "userid", "database"}:
            hosts = tuple((parameters.get("host") or parameters.get("server", "")).split(","))
            yield ConnectionString(
                kind="Npgsql", offset=match.start(), end=match.end(), parameters=parameters, hosts=hosts
            )
    rest = _NPGSQL.sub(_blank, rest)
    for match in _KEYWORDS.finditer(rest):
        parameters = {key.lower(): value.strip("'") for key, value in _PAIR.findall(match[0])}
        if parameters.keys() & {"host", "hostaddr"} and parameters.keys() & {"dbname", "user"}:
            hosts = tuple((parameters.get("hostaddr") or parameters.get("host", "")).split(","))
            yield ConnectionString(
                kind="keyword/value",
                offset=match.start(),
                end=match.end(),
                parameters=parameters,
                hosts=hosts,
            )


def _of_uri(uri: str, offset: int) -> ConnectionString:
    """The connection string of a URI.

    Raises:
        ValueError: It is none.
    """
    lowered = uri.lower()
    parts = urlsplit(uri[len("jdbc:") :] if lowered.startswith("jdbc:") else uri)
    parameters = {key.lower(): value for key, value in parse_qsl(parts.query, keep_blank_values=True)}
    if parts.password:
        parameters["password"] = parts.password
    if "ssl" in parameters and "sslmode" not in parameters:
        means = next((table for start, table in _SSL_IS.items() if lowered.startswith(start)), {})
        parameters["sslmode"] = means.get(parameters["ssl"].lower(), "")
    authority = unquote(parts.netloc.rpartition("@")[2])
    hosts = [re.sub(r":[0-9]*$", "", each) for each in authority.split(",")]
    named = parameters.get("hostaddr") or parameters.get("host")
    return ConnectionString(
        kind="URI",
        offset=offset,
        end=offset + len(uri),
        parameters=parameters,
        hosts=tuple(named.split(",") if named else hosts),
    )


def _blank(match: re.Match[str]) -> str:
    """As many spaces, so that the offsets of what follows stay."""
    return " " * len(match[0])
