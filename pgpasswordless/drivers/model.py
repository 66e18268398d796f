"""What the settings of a driver are, and how its strings are quoted."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from documents.document import Document
from pgpasswordless.errors import NotSupportedError


class Driver(StrEnum):
    """The drivers that have settings here."""

    LIBPQ = "libpq"
    PSYCOPG = "psycopg"
    SQLALCHEMY = "sqlalchemy"
    SQLALCHEMY_ASYNCPG = "sqlalchemy-asyncpg"
    ASYNCPG = "asyncpg"
    PGJDBC = "pgjdbc"
    NPGSQL = "npgsql"
    NODE_POSTGRES = "node-postgres"
    PGX = "pgx"


class Pool(Document):
    """How the driver's usual pool limits the life of a connection.

    `setting` is the pool's own name for it and `value` is in `unit`.
    """

    setting: str
    value: int
    unit: str


class DriverSettings(Document):
    """What one driver needs for one role.

    Attributes:
        driver: the driver.
        language: of the snippet.
        connection_string: in the driver's own form; holds no secret.
        keywords: keyword arguments of the driver's connect function, where it takes them.
        snippet: code that connects.
        files: paths of the files that must be there.
        pool: recommended maximum lifetime of a pooled connection; None where no pool has one.
        notes: versions that are needed, and what to know.
    """

    driver: Driver
    language: str
    connection_string: str
    keywords: dict[str, Any]
    snippet: str
    files: tuple[str, ...]
    pool: Pool | None
    notes: tuple[str, ...]


def npgsql_value(value: str) -> str:
    """One value of an ADO.NET connection string, in quotes where it must be."""
    if value and value == value.strip() and not any(character in value for character in ";'\"="):
        return value
    return '"' + value.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as a string literal that Java, C#, Go and JavaScript read alike."""
    return json.dumps(text, ensure_ascii=False)


def lines(values: dict[str, Any]) -> str:
    """`values` as keyword arguments of a Python call, a line each."""
    return "".join(f"    {name}={value!r},\n" for name, value in values.items())


def require_name_for_pgx(dbname: str) -> None:
    """Refuse a database name that pgx would read otherwise in a URL.

    Raises:
        NotSupportedError: it starts with a slash.
    """
    if dbname.startswith("/"):
        raise NotSupportedError(
            f"the URL of pgx cannot carry the database name {dbname!r}, which starts with a slash;"
            " use its keyword/value form, which is libpq's without gssencmode"
        )
