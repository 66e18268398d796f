"""Whether PostgreSQL answers: asked by a login, since a server that starts listens before it serves.

An RDS instance listens only when it serves; there a TLS handshake says enough, and a login needs a token.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import psycopg

from engine.errors import CommandError
from pgpasswordless.gateway_client import GatewayTarget
from pgpasswordless.gateway_request import get

LOGIN_SECONDS = 60.0
RETURN_SECONDS = 30.0
_POLL_SECONDS = 0.1
# The alert of RFC 8446, 6.2, in OpenSSL's words.
_REVOKED = "CERTIFICATE_REVOKED"
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_SSL_REQUEST = struct.pack("!II", 8, 80877103)


def wait_for_login(connection_string: str) -> None:
    """Wait until a login succeeds.

    Raises:
        CommandError: none did in 60 s; with the last refusal.
    """
    deadline = time.monotonic() + LOGIN_SECONDS
    while True:
        try:
            psycopg.connect(connection_string, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"PostgreSQL refuses {connection_string!r} for {LOGIN_SECONDS:.0f} s now: {error}. "
                    "Its log: `python -m sandbox logs machines`."
                ) from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def wait_for_tls(host: str, port: int, authorities: str) -> None:
    """Wait until the port answers with a certificate of one of the authorities.

    Raises:
        CommandError: it did not in 60 s; with the last refusal.
    """
    context = ssl.create_default_context(cadata=authorities)
    deadline = time.monotonic() + LOGIN_SECONDS
    while True:
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.sendall(_SSL_REQUEST)
                if connection.recv(1) != b"S":
                    raise ConnectionError("it has no TLS")
                context.wrap_socket(connection, server_hostname=host).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"RDS does not answer on {host}:{port} for {LOGIN_SECONDS:.0f} s now: {error}. "
                    "Its log: `python -m sandbox logs rds`."
                ) from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def wait_for_gateway(target: GatewayTarget) -> bool:
    """Wait until the gateway answers a client of it; whether it lets that client in.

    Raises:
        CommandError: it did not in 60 s; with the last answer.
    """
    deadline = time.monotonic() + LOGIN_SECONDS
    while True:
        try:
            answer = get(f"{target.url}/whoami", root_certificate=target.root_certificate, files=target.files)
            said = f"{answer.status}: {answer.body[:200]!r}"
            # An application of the user's own has no /whoami, and says so itself.
            if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status not in _REFUSED:
                return True
        except (OSError, HTTPException) as error:
            said = repr(error)
            if isinstance(error, ssl.SSLError) and _REVOKED in str(error):
                return False
        if time.monotonic() > deadline:
            raise CommandError(
                f"The gateway does not answer {target.client} at {target.url} for {LOGIN_SECONDS:.0f} s now: "
                f"{said}. Its log: `python -m sandbox logs gateway`."
            )
        time.sleep(_POLL_SECONDS)


def wait_for_return(connections: Path) -> None:
    """Give the servers of an earlier deployment the time to come back, so that the next one finds them.

    Nothing is wrong when one does not: a deployment may be what mends it.
    """
    try:
        databases = json.loads(connections.read_text())["databases"]
        addresses = [(database["host"], int(database["port"])) for database in databases.values()]
    except (OSError, ValueError, KeyError):
        return
    deadline = time.monotonic() + RETURN_SECONDS
    for address in addresses:
        while time.monotonic() < deadline:
            try:
                socket.create_connection(address, timeout=1).close()
            except OSError:
                time.sleep(_POLL_SECONDS)
            else:
                break
