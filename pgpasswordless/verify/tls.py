"""TLS without a driver: what a server negotiates, and whether it accepts a version that libraries gave up.

The ClientHello is written by hand. Layout: RFC 5246 section 7.4.1.2 (RFC 4346 for TLS 1.1 is the same);
alerts: RFC 8446 section 6.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path

from postgres.protocol import SSL_REQUEST

TLS_1_1 = 0x0302
TLS_1_2 = 0x0303

TIMEOUT_SECONDS = 10
RECORD_ALERT = 21
RECORD_HANDSHAKE = 22
ALERT_PROTOCOL_VERSION = 70

# ECDHE with ECDSA and with RSA, each with AES-CBC-SHA (TLS 1.1 can use these) and AES-GCM (TLS 1.2).
CIPHER_SUITES = (0xC009, 0xC00A, 0xC013, 0xC014, 0xC02B, 0xC02C, 0xC02F, 0xC030)


@dataclass(frozen=True, kw_only=True)
class Tls:
    """What client and server agreed on."""

    version: str
    cipher: str


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A TLS alert: level (1 warning, 2 fatal) and description."""

    level: int
    description: int


def handshake(host: str, port: int, root_certificate: Path) -> Tls | None:
    """Agree on TLS with a verified PostgreSQL server; None when that fails, or it cannot be reached.

    For servers behind something that terminates TLS, whose sessions do not know of it.

    Args:
        host: a name in the server's certificate.
        port: TCP port.
        root_certificate: file of the authorities that are trusted.
    """
    try:
        context = ssl.create_default_context(cafile=str(root_certificate))
        with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as plain:
            _request_tls(plain)
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                version, cipher = encrypted.version(), encrypted.cipher()
                return Tls(version=version, cipher=cipher[0]) if version and cipher else None
    except OSError:
        return None


def offer(host: str, port: int, version: int, *, through_postgresql: bool = True) -> Alert | int:
    """Offer one version of TLS and hang up; the server's alert, or the version that its ServerHello chose.

    Args:
        host: name or address.
        port: TCP port.
        version: such as `TLS_1_1`; nothing newer is offered.
        through_postgresql: request TLS by PostgreSQL's protocol first.

    Raises:
        OSError: there is no connection, or the server closed it without an answer.
    """
    with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as connection:
        if through_postgresql:
            _request_tls(connection)
        connection.sendall(client_hello(version))
        record_type, _, length = struct.unpack("!BHH", _receive(connection, 5))
        content = _receive(connection, length)
    if record_type == RECORD_ALERT:
        return Alert(level=content[0], description=content[1])
    return int.from_bytes(content[4:6], "big")


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
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BHH", RECORD_HANDSHAKE, 0x0301, len(message)) + message


def _request_tls(connection: socket.socket) -> None:
    connection.sendall(SSL_REQUEST)
    answer = _receive(connection, 1)
    if answer != b"S":
        raise ConnectionError(f"the server answered {answer!r} to the SSLRequest")


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError(f"the server closed the connection after {len(received)} of {size} bytes")
        received += part
    return received
