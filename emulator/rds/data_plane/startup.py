"""The first packets of a client, as PostgreSQL's postmaster reads them. Pure.

Source: "Message Flow" and "Message Formats" of PostgreSQL's protocol, and ProcessStartupPacket in
src/backend/tcop/backend_startup.c. Stricter than PostgreSQL in one point: a packet that names the user or
the database twice is refused, since two readers could take different ones.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from emulator.rds.data_plane.messages import Refused

LENGTH_BYTES = 4
LONGEST_PACKET = 10_000
TLS_HANDSHAKE = 0x16
_CANCEL = 80877102
_CANCEL_KEY_AT = 12
_LONGEST_CANCEL_KEY = 256
_TWICE_REFUSED = ("user", "database")


class EncryptionRequest(Enum):
    """The client asks for encryption by TLS or by Kerberos; values are the codes of the packets."""

    SSL = 80877103
    GSSENC = 80877104


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


Packet = EncryptionRequest | CancelRequest | StartupMessage


def packet_length(prefix: bytes) -> int:
    """Length of a packet, its own four bytes included.

    Raises:
        Refused: PostgreSQL would not read it.
    """
    length = int.from_bytes(prefix[:LENGTH_BYTES])
    if not 2 * LENGTH_BYTES <= length <= LONGEST_PACKET:
        raise Refused
    return length


def parse_packet(packet: bytes) -> Packet:
    """A whole packet, its length included.

    Raises:
        Refused: PostgreSQL would refuse it, or could read it in two ways.
    """
    length, code = struct.unpack_from("!II", packet)
    if length != len(packet):
        raise Refused
    if code in {kind.value for kind in EncryptionRequest}:
        if length != 2 * LENGTH_BYTES:
            raise Refused
        return EncryptionRequest(code)
    if code == _CANCEL:
        if not _CANCEL_KEY_AT < length <= _CANCEL_KEY_AT + _LONGEST_CANCEL_KEY:
            raise Refused
        return CancelRequest(packet=packet)
    major, minor = code >> 16, code & 0xFFFF
    if major != 3:
        raise Refused(f"unsupported frontend protocol {major}.{minor}: server supports 3", "0A000")
    return StartupMessage(packet=packet, parameters=_parameters(packet[2 * LENGTH_BYTES :]))


def _parameters(body: bytes) -> Mapping[str, str]:
    if body[-2:] != b"\0\0" and body != b"\0":
        raise Refused("invalid startup packet layout: expected terminator as last byte")
    texts = body[:-1].split(b"\0")[:-1]
    if len(texts) % 2 or b"" in texts[::2]:
        # An empty name ends the list for PostgreSQL, and more would follow.
        raise Refused("invalid startup packet layout: expected terminator as last byte")
    try:
        pairs = [(name.decode(), value.decode()) for name, value in zip(texts[::2], texts[1::2], strict=True)]
    except UnicodeDecodeError:
        raise Refused("invalid startup packet: names and values must be UTF-8") from None
    names = [name for name, _ in pairs]
    for name in _TWICE_REFUSED:
        if names.count(name) > 1:
            raise Refused(f'invalid startup packet: "{name}" is given twice')
    parameters = dict(pairs)
    if not parameters.get("user"):
        raise Refused("no PostgreSQL user name specified in startup packet", "28000")
    return parameters
