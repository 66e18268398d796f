"""libpq: psql, and every driver and program that is built on it."""

from __future__ import annotations

from pgpasswordless.driver import RELOADED, Rendering
from pgpasswordless.libpq import CertificateTarget, Target, TokenTarget, conninfo, keywords, psql_command

LANGUAGE = "shell"
POOL = None


def by_certificate(target: CertificateTarget) -> Rendering:
    """The connection string and the psql command."""
    return _rendering(
        target,
        "For psql and every driver on libpq (psycopg 2 and 3, PHP, Ruby, Perl, ODBC, C).",
        "libpq refuses a key file that others may read; keep mode 0600.",
        (
            "libpq >= 16 also takes sslcertmode=require, libpq >= 17 and servers >= 17"
            " sslnegotiation=direct; an older libpq refuses both words."
        ),
        RELOADED,
    )


def by_token(target: TokenTarget) -> Rendering:
    """The connection string, and a psql command that passes a new token in PGPASSWORD."""
    return _rendering(
        target,
        "For psql and every program on libpq: the token goes into PGPASSWORD, never into an argument.",
        "A pooler in between must pass passwords of 1,500 characters (PgBouncer from 1.17).",
    )


def _rendering(target: Target, *notes: str) -> Rendering:
    values = keywords(target)
    return Rendering(
        connection_string=conninfo(values),
        keywords=values,
        snippet=psql_command(target),
        files=target.paths,
        notes=notes,
    )
