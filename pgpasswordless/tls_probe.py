"""What TLS a server speaks with this client: a handshake of our own, and nothing after it.

For servers behind an end of TLS of their own, whose sessions do not know of it.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 10
# PostgreSQL's manual, Message Formats, SSLRequest.
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@dataclass(frozen=True, kw_only=True)
class Tls:
    """What was agreed on."""

    version: str
    cipher: str


def handshake(host: str, port: int, root_certificate: Path) -> Tls | None:
    """Agree on TLS with a verified server; None when the server does not, or cannot be reached.

    Args:
        host: a name in the server's certificate.
        port: TCP port.
        root_certificate: file of the authorities that are trusted.
    """
    try:
        context = ssl.create_default_context(cafile=str(root_certificate))
        with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as plain:
            plain.sendall(SSL_REQUEST)
            if plain.recv(1) != b"S":
                return None
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                version, cipher = encrypted.version(), encrypted.cipher()
                return Tls(version=version, cipher=cipher[0]) if version and cipher else None
    except OSError:
        return None
