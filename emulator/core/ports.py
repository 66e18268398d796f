"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from engine.errors import CommandError

FIRST_PORT = 20_000


def loopback_addresses() -> list[str]:
    """The addresses of `localhost` that this machine has."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


def port_is_free(port: int) -> bool:
    """Whether nothing listens on the port of loopback, IPv4 or IPv6."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            # A machine without IPv6 cannot bind ::1, and nothing can be listening there.
            if family == socket.AF_INET or error.errno in (13, 98):
                return False
    return True


def new_port(taken: set[int]) -> int:
    """A free TCP port of loopback, none of `taken`.

    Raises:
        CommandError: there is none.
    """
    # Below the range from which the kernel takes ports for outgoing connections: one of those could
    # hold the port at the moment when a server starts again.
    try:
        first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first_ephemeral = 32_768
    candidates = list(range(FIRST_PORT, max(first_ephemeral, FIRST_PORT + 1000)))
    random.shuffle(candidates)
    for port in candidates:
        if port not in taken and port_is_free(port):
            return port
    raise CommandError(f"No free TCP port between {FIRST_PORT} and {first_ephemeral} on loopback.")
