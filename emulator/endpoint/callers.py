"""Who is at the other end of a connection on loopback."""

from __future__ import annotations

from pathlib import Path

_CONNECTIONS = Path("/proc/net/tcp")


def user_id_of(client_port: int, server_port: int) -> int | None:
    """The user whose process connected from one port of 127.0.0.1 to another; None without connection."""
    ends = [f"0100007F:{client_port:04X}", f"0100007F:{server_port:04X}"]
    for line in _CONNECTIONS.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == ends:
            return int(fields[7])
    return None
