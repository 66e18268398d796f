"""psycopg 3."""

from __future__ import annotations

from pgpasswordless.driver import (
    FRESH,
    RELOADED,
    PoolSetting,
    Rendering,
    python_arguments,
    python_token_source,
)
from pgpasswordless.libpq import CertificateTarget, TokenTarget, conninfo, keywords

LANGUAGE = "python"
POOL = PoolSetting(name="psycopg_pool.ConnectionPool(max_lifetime=)")


def by_certificate(target: CertificateTarget) -> Rendering:
    """One connection, by libpq's keywords."""
    values = keywords(target)
    return Rendering(
        connection_string=conninfo(values),
        keywords=values,
        snippet=f"import psycopg\n\nconnection = psycopg.connect(\n{python_arguments(values)})",
        files=target.paths,
        notes=("psycopg 3; psycopg2 takes the same keywords.", RELOADED),
    )


def by_token(target: TokenTarget) -> Rendering:
    """A pool that asks the token source for each connection."""
    values = keywords(target)
    return Rendering(
        connection_string=conninfo(values),
        keywords=values,
        snippet=(
            f"import psycopg_pool\n{python_token_source(target)}\n"
            f"pool = psycopg_pool.ConnectionPool(\n"
            f"    kwargs=source.keywords(\n{python_arguments(values, indent=8)}    ),\n"
            f"    max_lifetime={target.max_lifetime_seconds},\n)"
        ),
        files=target.paths,
        notes=(
            "psycopg 3 with psycopg_pool >= 3.3, which calls `kwargs` for each new connection.",
            "Without a pool: psycopg.connect(**keywords, password=source()).",
            FRESH,
        ),
    )
