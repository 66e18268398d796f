"""Where to log in, and how libpq is told: connection strings and the psql command."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pgpasswordless.identity_files import IdentityFiles

TLS_PARAMETERS = ("sslmode", "sslrootcert", "sslcert", "sslkey")


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """The near end of a tunnel to a server: an IP address, and a TCP port."""

    hostaddr: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Target(ABC):
    """Where and as whom to log in, by certificate or by token.

    Attributes:
        host: a name in the server's certificate.
        port: TCP port.
        dbname: database of the server.
        user: database role.
        max_lifetime_seconds: recommended maximum lifetime of a pooled connection.
        psql: path of the psql program to print, None for the one on PATH.
        tunnel: where to connect instead; `host` is verified and signed for all the same.
    """

    host: str
    port: int
    dbname: str
    user: str
    max_lifetime_seconds: int
    psql: str | None = None
    tunnel: Tunnel | None = None

    @property
    @abstractmethod
    def root_certificate(self) -> Path:
        """File of the authorities that the client trusts for the server."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that libpq needs: authorities, and for a login by certificate certificate and key."""
        return (str(self.root_certificate),)


@dataclass(frozen=True, kw_only=True)
class CertificateTarget(Target):
    """A login by certificate; `files` are the role's."""

    files: IdentityFiles

    @property
    def root_certificate(self) -> Path:
        """File of the authorities that the client trusts for the server."""
        return self.files.root_certificate

    @property
    def paths(self) -> tuple[str, ...]:
        """Authorities, certificate and key."""
        return (str(self.files.root_certificate), str(self.files.certificate), str(self.files.key))


@dataclass(frozen=True, kw_only=True)
class TokenTarget(Target):
    """A login by IAM token.

    Attributes:
        region: AWS region that tokens are signed for.
        trust: file of the authorities.
        token_command: shell command that prints a token.
    """

    region: str
    trust: Path
    token_command: str

    @property
    def root_certificate(self) -> Path:
        """File of the authorities that the client trusts for the server."""
        return self.trust


def keywords(target: Target) -> dict[str, str | int]:
    """The connection parameters that every supported libpq knows; never a token.

    Later parameters (`sslcertmode` 16, `sslnegotiation` 17) are an error to an older libpq. GSS
    encryption is off because libpq would prefer it to TLS.
    """
    certificate: dict[str, str | int] = {}
    if isinstance(target, CertificateTarget):
        certificate = {"sslcert": str(target.files.certificate), "sslkey": str(target.files.key)}
    near = {"hostaddr": target.tunnel.hostaddr} if target.tunnel else {}
    return {
        "host": target.host,
        **near,
        "port": target.tunnel.port if target.tunnel else target.port,
        "dbname": target.dbname,
        "user": target.user,
        "sslmode": "verify-full",
        "sslrootcert": str(target.root_certificate),
        **certificate,
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


def uri(target: Target, scheme: str, parameters: tuple[str, ...] = (), path_safe: str = "") -> str:
    """A connection URI whose query has those of `parameters` that `keywords` gives for the target.

    Args:
        target: where and as whom.
        scheme: such as `postgresql`.
        parameters: names of libpq's parameters.
        path_safe: characters of the database's name that the driver does not decode.
    """
    values = keywords(target)
    query = "&".join(f"{name}={encode(str(values[name]))}" for name in parameters if name in values)
    return (
        f"{scheme}://{encode(target.user)}@{uri_host(target.host)}:{values['port']}"
        f"/{encode(target.dbname, path_safe)}" + (f"?{query}" if query else "")
    )


def psql_command(target: Target) -> str:
    """A shell command that starts psql as `target` says and, where that needs a token, requests one first."""
    command = shlex.join([target.psql or "psql", conninfo(keywords(target))])
    if isinstance(target, TokenTarget):
        return f'PGPASSWORD="$({target.token_command})" {command}'
    return command
