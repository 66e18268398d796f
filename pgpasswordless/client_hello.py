"""A TLS ClientHello written by hand, for protocol versions that today's libraries no longer offer.

Layout: RFC 5246 section 7.4.1.2 (RFC 4346 for TLS 1.1 is the same); alerts: RFC 8446 section 6.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

TLS_1_1 = 0x0302
TLS_1_2 = 0x0303

TIMEOUT_SECONDS = 10
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
RECORD_ALERT = 21
RECORD_HANDSHAKE = 22
ALERT_PROTOCOL_VERSION = 70

# ECDHE with ECDSA and with RSA, each with AES-CBC-SHA (TLS 1.1 can use these) and AES-GCM (TLS 1.2).
CIPHER_SUITES = (0xC009, 0xC00A, 0xC013, 0xC014, 0xC02B, 0xC02C, 0xC02F, 0xC030)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A TLS alert: level (1 warning, 2 fatal) and description."""

    level: int
    description: int


def client_hello(version: int) -> bytes:
    """One handshake record that offers `version` and nothing newer (no supported_versions extension)."""
    suites = b"".join(struct.pack("!H", suite) for suite in CIPHER_SUITES)
    groups = struct.pack("!HHHH", 10, 4, 2, 23)
    point_formats = struct.pack("!HHBB", 11, 2, 1, 0)
    signatures = struct.pack("!HHHHHHH", 13, 10, 8, 0x0403, 0x0203, 0x0401, 0x0201)
    extensions = groups + point_formats + signatures
    body = (
        struct.pack("!H", version)
        + os.urandom(32)
        + b"\x00"
        + struct.pack("!H", len(suites))
        + suites
        + b"\x01\x00"
        + struct.pack("!H", len(extensions))
        + extensions
    )
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BHH", RECORD_HANDSHAKE, 0x0301, len(handshake)) + handshake


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError(f"the server closed the connection after {len(received)} of {size} bytes")
        received += part
    return received


def offer(host: str, port: int, version: int, *, through_postgresql: bool = True) -> Alert | int:
    """Offer one version of TLS and hang up; the server's alert, or the version that its ServerHello chose.

    Args:
        host: name or address.
        port: TCP port.
        version: such as `TLS_1_1`; nothing newer is offered.
        through_postgresql: ask for TLS in PostgreSQL's protocol first.

    Raises:
        OSError: there is no connection, or the server closed it without an answer.
    """
    with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as connection:
        if through_postgresql:
            connection.sendall(SSL_REQUEST)
            answer = _receive(connection, 1)
            if answer != b"S":
                raise ConnectionError(f"the server answered {answer!r} to the SSLRequest")
        connection.sendall(client_hello(version))
        record_type, _, length = struct.unpack("!BHH", _receive(connection, 5))
        content = _receive(connection, length)
    if record_type == RECORD_ALERT:
        return Alert(level=content[0], description=content[1])
    return int.from_bytes(content[4:6], "big")
