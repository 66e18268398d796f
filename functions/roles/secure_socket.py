"""A connection whose other end has proved by TLS to be the server, before a word of PostgreSQL is said."""

from __future__ import annotations

import socket
import ssl
import struct

from runtime.errors import FailedError, RefusedError

CONNECT_SECONDS = 10.0

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_YES, _NO = b"S", b"N"


class Unreachable(FailedError):
    """Nothing answers at the host and port."""


class TlsRefused(RefusedError):
    """The server speaks no TLS that this function would trust."""


def secure_socket(host: str, port: int, ca_pem: str) -> ssl.SSLSocket:
    """A connection to the server, TLS 1.2 at least, its certificate for `host` by one of the authorities.

    Raises:
        Unreachable: there is no connection.
        TlsRefused: there is no TLS, or none to be trusted.
        FailedError: the connection breaks.
    """
    where = f"{host}:{port}"
    context = _context(ca_pem)
    try:
        plain = socket.create_connection((host, port), CONNECT_SECONDS)
    except OSError as error:
        raise Unreachable(f"cannot reach {where}: {error}") from error
    try:
        plain.sendall(_SSL_REQUEST)
        answer = plain.recv(1)
        if answer == _NO:
            raise TlsRefused(f"TLS with {where} refused: the server has none")
        if answer != _YES:
            raise FailedError(f"{where} answers the request for TLS with {answer!r}")
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLError as error:
        raise TlsRefused(f"TLS with {where} refused: {error}") from error
    except OSError as error:
        raise FailedError(f"{where} broke the connection off: {error}") from error
    finally:
        # After the handshake this socket is an empty shell: TLS took over what it held.
        plain.close()


def _context(ca_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca_pem)
    except ssl.SSLError as error:
        raise TlsRefused(f"serverCaPem holds no certificates: {error}") from error
    return context
