"""Names of roles and databases, and quoting in SQL."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

SUPERUSER = "postgres"
"""The superuser that initdb creates."""

MAINTENANCE_DATABASE = "postgres"
"""The database that always exists: databases and roles are created from there."""

MAX_IDENTIFIER_BYTES = 63
"""NAMEDATALEN - 1: PostgreSQL silently cuts longer names in SQL (and a longer CN never matches)."""

_HBA_KEYWORDS = frozenset({"all", "sameuser", "samerole", "samegroup", "replication"})
_ROLE_KEYWORDS = frozenset({"public", "none", "user", "current_user", "current_role", "session_user"})
_RESERVED_DATABASES = frozenset({"postgres", "template0", "template1", "rdsadmin"})


def role_uri_path(name: str) -> str:
    """Path of the URI by which our certificates name a role beside its common name."""
    return f"/role/{quote(name, safe='')}"


def quote_identifier(name: str) -> str:
    """`name` as a quoted SQL identifier.

    Raises:
        ValueError: it is empty, has a NUL, or is longer than MAX_IDENTIFIER_BYTES in UTF-8.
    """
    if not name or "\0" in name or len(name.encode()) > MAX_IDENTIFIER_BYTES:
        raise ValueError(
            f"{name!r} cannot be an SQL identifier: it must have 1 to {MAX_IDENTIFIER_BYTES} bytes and no NUL"
        )
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """`text` as an SQL string constant, whatever standard_conforming_strings is.

    Raises:
        ValueError: it has a NUL, which PostgreSQL text cannot have.
    """
    if "\0" in text:
        raise ValueError(f"{text!r} cannot be an SQL string: it has a NUL")
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def role_name_problems(name: str) -> list[str]:
    """Why `name` cannot be a role that logs in with a certificate; empty when it can.

    PostgreSQL compares a certificate's common name with the role byte by byte, while SQL folds and cuts
    names, so names that the two would treat differently are refused.
    """
    problems = _common_problems(name, "role name")
    if name == "postgres":
        problems.append("role name 'postgres' is the superuser, which never logs in remotely; choose another")
    if name.startswith("pg_"):
        problems.append(f"role name {name!r} begins with 'pg_', which PostgreSQL reserves; choose another")
    if name.startswith("rds"):
        problems.append(f"role name {name!r} begins with 'rds', which Amazon RDS reserves; choose another")
    if name in _ROLE_KEYWORDS:
        problems.append(f"role name {name!r} means something else in SQL; choose another")
    if name.startswith("+"):
        problems.append(f"role name {name!r} begins with '+', which means a group in pg_hba.conf; drop it")
    return problems


def database_name_problems(name: str) -> list[str]:
    """Why `name` cannot be a database that the project declares; empty when it can."""
    problems = _common_problems(name, "database name")
    if name in _RESERVED_DATABASES:
        problems.append(f"database name {name!r} is a system database; choose another")
    if "=" in name or name.startswith(("postgres://", "postgresql://")):
        problems.append(
            f"database name {name!r} would be read as a connection string by libpq; "
            "leave out '=' and 'postgresql://'"
        )
    return problems


def _common_problems(name: str, what: str) -> list[str]:
    problems: list[str] = []
    if not name:
        return [f"{what} is empty; give 1 to {MAX_IDENTIFIER_BYTES} bytes"]
    unprintable = any(unicodedata.category(character)[0] == "C" for character in name)
    if unprintable:
        problems.append(f"{what} {name!r} has control or invisible characters; remove them")
    else:
        length = len(name.encode())
        if length > MAX_IDENTIFIER_BYTES:
            problems.append(
                f"{what} {name!r} has {length} bytes in UTF-8; "
                f"PostgreSQL cuts names after {MAX_IDENTIFIER_BYTES}"
            )
    if name != name.lower():
        problems.append(
            f"{what} {name!r} has upper-case letters, which unquoted SQL folds; use {name.lower()!r}"
        )
    if name != name.strip():
        problems.append(f"{what} {name!r} begins or ends with white space; remove it")
    if not unicodedata.is_normalized("NFC", name):
        problems.append(f"{what} {name!r} is not in Unicode normal form C; clients would send other bytes")
    if name in _HBA_KEYWORDS:
        problems.append(f"{what} {name!r} is a keyword of pg_hba.conf; choose another")
    if name.startswith("/"):
        problems.append(f"{what} {name!r} begins with '/', which means a regular expression in pg_hba.conf")
    return problems
