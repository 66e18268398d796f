"""asyncpg."""

from __future__ import annotations

from pgpasswordless.driver import FRESH, RELOADED, Rendering, python_token_source
from pgpasswordless.libpq import TLS_PARAMETERS, CertificateTarget, Target, TokenTarget, uri

LANGUAGE = "python"
POOL = None


def by_certificate(target: CertificateTarget) -> Rendering:
    """One connection, by a DSN that names the files."""
    dsn = uri(target, "postgresql", TLS_PARAMETERS)
    return Rendering(
        connection_string=dsn,
        keywords={"dsn": dsn},
        snippet=(
            "import asyncpg\n\n\n"
            "async def connect() -> asyncpg.Connection:\n"
            f"    return await asyncpg.connect({dsn!r})"
        ),
        files=target.paths,
        notes=(
            "gssencmode must not be in the DSN: asyncpg would send it to the server as a setting.",
            "Direct TLS (servers >= 17) is sslnegotiation=direct in the DSN from asyncpg 0.30.",
            _expiry(target),
            RELOADED,
        ),
    )


def by_token(target: TokenTarget) -> Rendering:
    """A pool that asks the token source for each connection."""
    dsn = uri(target, "postgresql")
    return Rendering(
        connection_string=dsn,
        keywords={"dsn": dsn},
        snippet=(
            f"import ssl\n\nimport asyncpg\n{python_token_source(target)}\n"
            f"context = ssl.create_default_context(cafile={str(target.root_certificate)!r})\n\n\n"
            "async def pool() -> asyncpg.Pool:\n"
            f"    return await asyncpg.create_pool({dsn!r}, password=source.without_blocking, ssl=context)"
        ),
        files=target.paths,
        notes=("asyncpg calls `password` for each new connection.", _expiry(target), FRESH),
    )


def _expiry(target: Target) -> str:
    return (
        "asyncpg's pool limits idle time only (max_inactive_connection_lifetime): call"
        f" await pool.expire_connections() every {target.max_lifetime_seconds} s or more often."
    )
