"""The server's main configuration file: includes the generation's settings and adds the machine's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from node import generation
from node.generation import Access
from node.layout import Layout
from node.machine_platform import Platform
from node.server_user import ServerUser
from runtime import files

HEADER = "# Written by passwordless-postgres on this machine. Changes by hand are lost.\n"


def quoted(text: str) -> str:
    """A string of postgresql.conf, where a backslash escapes and a quote is doubled."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def machine_settings(
    *,
    generation: Path,
    data: Path,
    listen_addresses: Sequence[str],
    socket_directory: Path,
    logs: Path,
) -> dict[str, str]:
    """The settings that a generation's own postgresql.conf must not contain."""
    return {
        "data_directory": str(data),
        "listen_addresses": ", ".join(listen_addresses),
        "unix_socket_directories": str(socket_directory),
        "hba_file": str(generation / "pg_hba.conf"),
        "ident_file": str(generation / "pg_ident.conf"),
        "ssl_cert_file": str(generation / "server.crt"),
        "ssl_key_file": str(generation / "server.key"),
        "ssl_ca_file": str(generation / "client-ca.crt"),
        "log_directory": str(logs),
    }


def rendered(generation: Path, settings: Mapping[str, str]) -> str:
    """The file's text; `settings` override the generation's."""
    include = f"include {quoted(str(generation / 'postgresql.conf'))}\n\n"
    return HEADER + include + "".join(f"{name} = {quoted(value)}\n" for name, value in settings.items())


def live(layout: Layout, platform: Platform, major: int) -> bytes:
    """The live server's machine file, which refers to the generation by the link `current`."""
    settings = machine_settings(
        generation=layout.current,
        data=layout.data(major),
        listen_addresses=platform.listen_addresses(),
        socket_directory=platform.socket_directory,
        logs=layout.logs,
    )
    return rendered(layout.current, settings).encode()


def difference(layout: Layout, user: ServerUser, major: int, content: bytes) -> str | None:
    """What was changed in the live server's machine file, in words; None if it is as it was written."""
    access = Access(owner=user.owner, folder_mode=0o755, file_mode=0o600)
    return generation.difference(layout.configuration(major), content, access)


def write(layout: Layout, user: ServerUser, major: int, content: bytes) -> None:
    """Write the live server's machine file, unless it is there already."""
    if difference(layout, user, major, content) is not None:
        path = layout.configuration(major)
        if not path.parent.exists():
            user.make_directory(path.parent, mode=0o755)
        files.replace_file(path, content, owner=user.owner, durable=True)
