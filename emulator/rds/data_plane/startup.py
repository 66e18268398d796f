"""The first packets of a client, as PostgreSQL's postmaster reads them. Pure.

Source: "Message Flow" and "Message Formats" of PostgreSQL's protocol, and ProcessStartupPacket in
src/backend/tcop/backend_startup.c. Stricter than PostgreSQL in one point: a packet that names the user or
the database twice is refused, since two readers could take different ones.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

LENGTH_BYTES = 4
LONGEST_PACKET = 10_000
TLS_HANDSHAKE = 0x16
_CANCEL, _SSL, _GSSENC = 80877102, 80877103, 80877104
_CANCEL_KEY_AT = 12
_LONGEST_CANCEL_KEY = 256
_TWICE_REFUSED = ("user", "database")


class MalformedPacket(Exception):
    """Bytes that are not a startup packet.

    Args:
        message: PostgreSQL's words for the client; empty where it closes the connection without any.
        code: SQLSTATE.
    """

    def __init__(self, message: str = "", code: str = "08P01") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True)
class SslRequest:
    """The client asks for TLS."""


@dataclass(frozen=True)
class GssEncRequest:
    """The client asks for encryption by Kerberos."""


@dataclass(frozen=True, kw_only=True)
class CancelRequest:
    """The client asks to cancel another connection's query; `packet` is what the server gets."""

    packet: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class StartupMessage:
    """The client asks for a session; `packet` is what the server gets, byte for byte."""

    packet: bytes = field(repr=False)
    parameters: Mapping[str, str]

    @property
    def user(self) -> str:
        return self.parameters["user"]

    @property
    def database(self) -> str:
        """The database, which has the user's name unless it is given."""
        return self.parameters.get("database") or self.user


Packet = SslRequest | GssEncRequest | CancelRequest | StartupMessage


def packet_length(prefix: bytes) -> int:
    """Length of a packet, its own four bytes included.

    Raises:
        MalformedPacket: PostgreSQL would not read it.
    """
    length = int.from_bytes(prefix[:LENGTH_BYTES])
    if not 2 * LENGTH_BYTES <= length <= LONGEST_PACKET:
        raise MalformedPacket
    return length


def parse_packet(packet: bytes) -> Packet:
    """A whole packet, its length included.

    Raises:
        MalformedPacket: PostgreSQL would refuse it, or could read it in two ways.
    """
    length, code = struct.unpack_from("!II", packet)
    if length != len(packet):
        raise MalformedPacket
    if code in (_SSL, _GSSENC):
        if length != 2 * LENGTH_BYTES:
            raise MalformedPacket
        return SslRequest() if code == _SSL else GssEncRequest()
    if code == _CANCEL:
        if not _CANCEL_KEY_AT < length <= _CANCEL_KEY_AT + _LONGEST_CANCEL_KEY:
            raise MalformedPacket
        return CancelRequest(packet=packet)
    major, minor = code >> 16, code & 0xFFFF
    if major != 3:
        raise MalformedPacket(f"unsupported frontend protocol {major}.{minor}: server supports 3", "0A000")
    return StartupMessage(packet=packet, parameters=_parameters(packet[2 * LENGTH_BYTES :]))


def _parameters(body: bytes) -> Mapping[str, str]:
    if body[-2:] != b"\0\0" and body != b"\0":
        raise MalformedPacket("invalid startup packet layout: expected terminator as last byte")
    texts = body[:-1].split(b"\0")[:-1]
    if len(texts) % 2 or b"" in texts[::2]:
        # An empty name ends the list for PostgreSQL, and more would follow.
        raise MalformedPacket("invalid startup packet layout: expected terminator as last byte")
    try:
        pairs = [(name.decode(), value.decode()) for name, value in zip(texts[::2], texts[1::2], strict=True)]
    except UnicodeDecodeError:
        raise MalformedPacket("invalid startup packet: names and values must be UTF-8") from None
    names = [name for name, _ in pairs]
    for name in _TWICE_REFUSED:
        if names.count(name) > 1:
            raise MalformedPacket(f'invalid startup packet: "{name}" is given twice')
    parameters = dict(pairs)
    if not parameters.get("user"):
        raise MalformedPacket("no PostgreSQL user name specified in startup packet", "28000")
    return parameters
