"""Connection strings of libpq, as PostgreSQL's manual quotes them, and the psql command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pgpasswordless.identity_files import IdentityFiles

PARAMETERS = (
    "host",
    "port",
    "dbname",
    "user",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "gssencmode",
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where and as whom to log in by certificate.

    Attributes:
        host: a name in the server's certificate.
        port: TCP port.
        dbname: database of the server.
        user: database role.
        files: the role's files.
        max_lifetime_seconds: recommended maximum lifetime of a pooled connection.
        psql: path of the psql program to print, None for the one on PATH.
    """

    host: str
    port: int
    dbname: str
    user: str
    files: IdentityFiles
    max_lifetime_seconds: int
    psql: str | None = None


def keywords(target: Target) -> dict[str, str | int]:
    """The parameters of `PARAMETERS`, which every supported libpq knows.

    Later ones (`sslcertmode` 16, `sslnegotiation` 17) are an error to an older libpq. GSS
    encryption is off because libpq would prefer it to TLS.
    """
    files = target.files
    return {
        "host": target.host,
        "port": target.port,
        "dbname": target.dbname,
        "user": target.user,
        "sslmode": "verify-full",
        "sslrootcert": str(files.root_certificate),
        "sslcert": str(files.certificate),
        "sslkey": str(files.key),
        "gssencmode": "disable",
    }


def quote_value(value: str) -> str:
    r"""One value of a keyword/value string: `'` and `\` escaped, in quotes where it must be."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    if escaped == value and value and not any(character.isspace() for character in value):
        return value
    return f"'{escaped}'"


def conninfo(parameters: Mapping[str, str | int]) -> str:
    """The keyword/value connection string of `parameters`, in their order."""
    return " ".join(f"{name}={quote_value(str(value))}" for name, value in parameters.items())


def encode(value: str, safe: str = "") -> str:
    """Percent-encoding for a component of a URI; a space becomes `%20`, which every parser reads."""
    return quote(value, safe=safe)


def uri_host(host: str) -> str:
    """The host as a URI writes it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def uri(target: Target, scheme: str, names: tuple[str, ...], path_safe: str = "") -> str:
    """A connection URI with the parameters `names` of `keywords` in its query."""
    values = keywords(target)
    query = "&".join(f"{name}={encode(str(values[name]))}" for name in names)
    return (
        f"{scheme}://{encode(target.user)}@{uri_host(target.host)}:{target.port}"
        f"/{encode(target.dbname, path_safe)}?{query}"
    )


def psql_command(target: Target) -> str:
    """A shell command that starts psql as `target` says."""
    return shlex.join([target.psql or "psql", conninfo(keywords(target))])
