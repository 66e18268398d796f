"""What the files in drivers/ share: the result that each returns, and how values are quoted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pgpasswordless.libpq import CertificateTarget, TokenTarget
from pgpasswordless.rds_names import is_near

RELOADED = "The files are read again for each new connection: a renewed certificate needs no restart."
FRESH = "A token is requested for each new connection; an open session outlives its token."


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """How a driver logs in to one target.

    Attributes:
        connection_string: in the driver's own form; holds no secret.
        snippet: code that connects.
        files: paths of the files that must exist.
        notes: required versions, and what to know.
        keywords: keyword arguments of the driver's connect function, where it takes them.
    """

    connection_string: str
    snippet: str
    files: tuple[str, ...]
    notes: tuple[str, ...]
    keywords: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PoolSetting:
    """The setting by which the driver's usual pool limits the lifetime of a connection, and its unit."""

    name: str
    unit: Literal["seconds", "milliseconds"] = "seconds"


class DriverModule(Protocol):
    """What every file in drivers/ defines.

    Attributes:
        LANGUAGE: of the snippets, as Markdown names it.
        POOL: None where the driver's pool cannot limit a connection's lifetime, or there is no pool.
    """

    LANGUAGE: str
    POOL: PoolSetting | None

    def by_certificate(self, target: CertificateTarget) -> Rendering:
        """Log in with a client certificate: always verify-full, never a password.

        Raises:
            NotSupportedError: the driver's connection string cannot carry the database's name.
        """
        ...

    def by_token(self, target: TokenTarget) -> Rendering:
        """Log in to RDS with IAM tokens: always verify-full, a new token for each connection.

        A token is a password that is valid for 15 minutes and must never be part of a connection string,
        so the driver gets a function that it calls whenever it opens a connection.

        Raises:
            NotSupportedError: as `by_certificate`.
        """
        ...


def literal(text: str) -> str:
    """`text` as a string literal that Java, C#, Go and JavaScript all read alike."""
    return json.dumps(text, ensure_ascii=False)


def python_arguments(values: Mapping[str, Any], indent: int = 4) -> str:
    """`values` as keyword arguments of a Python call, one per line."""
    return "".join(f"{' ' * indent}{name}={value!r},\n" for name, value in values.items())


def python_token_source(target: TokenTarget) -> str:
    """Python that makes the `TokenSource` called `source`."""
    arguments = {"host": target.host, "port": target.port, "user": target.user, "region": target.region}
    if is_near(target.host):
        arguments["known_endpoint"] = True
    return (
        "from pgpasswordless.tokens import TokenSource\n\n"
        f"source = TokenSource(\n{python_arguments(arguments)})\n"
    )
