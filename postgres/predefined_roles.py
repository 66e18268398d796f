"""PostgreSQL's predefined roles, and which of them a declared role may be a member of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PREDEFINED_ROLES: Mapping[str, int] = MappingProxyType(
    {
        "pg_checkpoint": 15,
        "pg_maintain": 17,
        "pg_monitor": 15,
        "pg_read_all_data": 15,
        "pg_read_all_settings": 15,
        "pg_read_all_stats": 15,
        "pg_signal_autovacuum_worker": 18,
        "pg_signal_backend": 15,
        "pg_stat_scan_tables": 15,
        "pg_use_reserved_connections": 16,
        "pg_write_all_data": 15,
    }
)
"""The roles whose members stay within PostgreSQL, and the first supported major that has each."""

PREDEFINED_ROLES_ON_RDS = ("pg_checkpoint", "pg_monitor", "pg_read_all_data", "pg_signal_backend")
"""What the master of RDS may give. `pg_write_all_data` would let a member write the record of what the roles
function did, in the database `postgres`, to which every role may connect there."""

_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "pg_create_subscription": "its members have the server log in to other servers",
        "pg_database_owner": "the owner of each database is its only member",
        "pg_execute_server_program": "its members run programs as the server's user",
        "pg_read_server_files": "its members read every file of the server, keys and passwords included",
        "pg_write_server_files": "its members write the server's files, and so become superusers",
    }
)


def predefined_role_problems(name: str, major: int, *, rds: bool) -> list[str]:
    """Why no declared role can be a member of `name`; empty when it can."""
    if name in _REFUSED:
        return [f"membership in {name!r} is refused: {_REFUSED[name]}; drop it"]
    allowed = [role for role, since in PREDEFINED_ROLES.items() if since <= major]
    if rds:
        allowed = [role for role in allowed if role in PREDEFINED_ROLES_ON_RDS]
    if name in allowed:
        return []
    where = f"PostgreSQL {major}{' on RDS' if rds else ''}"
    return [f"membership in {name!r} cannot be declared; allowed: {', '.join(allowed)} ({where})"]
