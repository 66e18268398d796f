"""The server's main configuration file: includes the generation's settings and adds the machine's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from node.layout import Layout
from node.machine_platform import Platform
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


def write(layout: Layout, platform: Platform, major: int) -> None:
    """Write the live server's machine file, which refers to the generation by the link `current`."""
    settings = machine_settings(
        generation=layout.current,
        data=layout.data(major),
        listen_addresses=platform.listen_addresses(),
        socket_directory=platform.socket_directory,
        logs=layout.logs,
    )
    text = rendered(layout.current, settings).encode()
    path = layout.configuration(major)
    try:
        unchanged = files.read_file(path) == text
    except FileNotFoundError:
        unchanged = False
    if not unchanged:
        files.replace_file(path, text, owner=platform.user.owner, durable=True)
