"""Privileges per type of object, as the real provider knows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, LiteralString

from psycopg import sql

from emulator.core.resource_type import Refused

ALLOWED_PRIVILEGES: Final[dict[str, tuple[LiteralString, ...]]] = {
    "database": ("ALL", "CREATE", "CONNECT", "TEMPORARY"),
    "schema": ("ALL", "CREATE", "USAGE"),
    "table": (
        "ALL",
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "TRUNCATE",
        "REFERENCES",
        "TRIGGER",
        "MAINTAIN",
    ),
    "sequence": ("ALL", "USAGE", "SELECT", "UPDATE"),
    "function": ("ALL", "EXECUTE"),
    "procedure": ("ALL", "EXECUTE"),
    "routine": ("ALL", "EXECUTE"),
    "type": ("ALL", "USAGE"),
}
# Code of the object type in pg_class.relkind and pg_default_acl.defaclobjtype.
OBJECT_CODES: Final = {"table": "r", "sequence": "S", "function": "f", "type": "T", "schema": "n"}


def validate_privileges(object_type: str, privileges: Iterable[str]) -> None:
    """Checks names, which must be upper case.

    Raises:
        Refused: A privilege does not exist for the type of object.
    """
    allowed = ALLOWED_PRIVILEGES[object_type]
    for privilege in privileges:
        if privilege not in allowed:
            raise Refused(
                f"{privilege} is not an allowed privilege for object type {object_type}; "
                f"allowed are {', '.join(allowed)}"
            )


def same_privileges(object_type: str, granted: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether what was granted is what is wanted, where ALL means every one; MAINTAIN exists from 17 on."""
    have, want = set(granted), set(wanted)
    if "ALL" not in want:
        return have == want
    every = set(ALLOWED_PRIVILEGES[object_type]) - {"ALL"}
    return have | {"MAINTAIN"} == every | {"MAINTAIN"}


def privilege_list(privileges: Sequence[str]) -> sql.Composed:
    """Validated privileges as SQL keywords."""
    keywords = {name: sql.SQL(name) for names in ALLOWED_PRIVILEGES.values() for name in names}
    return sql.SQL(", ").join([keywords[name] for name in sorted(privileges)])
