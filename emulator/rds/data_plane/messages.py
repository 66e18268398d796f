"""The few messages of PostgreSQL's protocol that the endpoint itself writes or reads. Pure."""

from __future__ import annotations

import struct

HEADER_BYTES = 5
LONGEST_PASSWORD = 65_535
LONGEST_ANSWER = 30_000
PASSWORD_MESSAGE = b"p"
AUTHENTICATION = b"R"
ERROR = b"E"
ASK_FOR_PASSWORD = AUTHENTICATION + struct.pack("!II", 8, 3)
_AUTHENTICATED = 0


class Refused(Exception):
    """Why a connection ends.

    Args:
        message: PostgreSQL's words for the client; empty where it closes the connection without any.
        code: SQLSTATE.
    """

    def __init__(self, message: str = "", code: str = "08P01") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def fatal(code: str, message: str) -> bytes:
    """An ErrorResponse that ends the connection."""
    fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": message}
    body = b"".join(name.encode() + value.encode() + b"\0" for name, value in fields.items()) + b"\0"
    return ERROR + struct.pack("!I", len(body) + 4) + body


def body_length(header: bytes, longest: int) -> int:
    """How many bytes follow the header of a message.

    Raises:
        Refused: More than `longest`, or a length that no message has.
    """
    length = int.from_bytes(header[1:HEADER_BYTES]) - 4
    if not 0 <= length <= longest:
        raise Refused("invalid message length")
    return length


def password_of(body: bytes) -> str:
    """The text of a PasswordMessage.

    Raises:
        Refused: It is malformed.
    """
    if not body.endswith(b"\0") or b"\0" in body[:-1]:
        raise Refused("invalid password packet size")
    try:
        return body[:-1].decode()
    except UnicodeDecodeError:
        raise Refused("invalid password packet") from None


def lets_in(kind: bytes, body: bytes) -> bool:
    """Whether a message of the server is AuthenticationOk: no password is asked for."""
    return kind == AUTHENTICATION and int.from_bytes(body[:4]) == _AUTHENTICATED
