"""The configuration files of an instance's PostgreSQL. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from pathlib import Path

from emulator.rds.model import ADMINISTRATOR, IAM_ROLE, Instance
from postgres.authentication_file import quote, quote_where_needed
from postgres.identifiers import quote_literal

SOCKET_PORT = 5432
_MAP = "rds"
_OF_ENDPOINT = ("rds.", "ssl_")
_LIBRARIES = "shared_preload_libraries"
_OWN = {
    "listen_addresses": "",
    "port": str(SOCKET_PORT),
    "unix_socket_permissions": "0700",
    "ssl": "off",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_file_mode": "0600",
    "log_line_prefix": "%t:%r:%u@%d:[%p]:",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "huge_pages": "off",
}
# RDS derives these from the instance's memory; nothing here has that much.
_SMALL = {"shared_buffers": "32MB", "max_connections": "200"}


def postgresql_conf(
    instance: Instance, socket: Path, log: Path, authentication_seconds: float, libraries: Iterable[str]
) -> str:
    """`postgresql.conf`.

    Args:
        instance: The instance, with the parameters in effect.
        socket: Folder of the socket.
        log: Folder of the log.
        authentication_seconds: How long a login may take.
        libraries: Those that can be preloaded; others are left out.
    """
    applied = instance.parameters.applied
    settings = {
        **_SMALL,
        **{name: value for name, value in applied.items() if not name.startswith(_OF_ENDPOINT)},
        **_OWN,
        "unix_socket_directories": str(socket),
        "log_directory": str(log),
        "cluster_name": instance.identifier,
        "authentication_timeout": f"{max(1, ceil(authentication_seconds))}s",
    }
    if applied.get("rds.logical_replication") == "1":
        settings["wal_level"] = "logical"
    if _LIBRARIES in settings:
        kept = [name for name in settings[_LIBRARIES].split(",") if name in set(libraries)]
        settings[_LIBRARIES] = ",".join(kept)
    return "".join(f"{name} = {quote_literal(value)}\n" for name, value in sorted(settings.items()))


def missing_libraries(applied: Mapping[str, str], libraries: Iterable[str]) -> list[str]:
    """Libraries that the group preloads but that these programs do not have, such as pgaudit."""
    return [name for name in applied.get(_LIBRARIES, "").split(",") if name and name not in set(libraries)]


def pg_hba_conf(instance: Instance) -> str:
    """`pg_hba.conf`, for the private socket that only the endpoint connects to.

    Members of rds_iam log in without a password: the endpoint has verified their token. The master's line
    comes first: its right to grant the role makes it a member, but it logs in by password.
    """
    password = (
        "scram-sha-256"
        if instance.parameters.applied.get("rds.accepted_password_auth_method") == "scram"
        else "md5"
    )
    return (
        f"local all {ADMINISTRATOR} peer map={_MAP}\nlocal {ADMINISTRATOR} all reject\nlocal all "
        f"{quote(instance.master)} {password}\nlocal all +{IAM_ROLE} trust\nlocal all all {password}\n"
    )


def pg_ident_conf(users: Iterable[str]) -> str:
    """`pg_ident.conf`: operating system users that act as RDS itself."""
    return "".join(f"{_MAP} {quote_where_needed(user)} {ADMINISTRATOR}\n" for user in users)
