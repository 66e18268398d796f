"""The deployed endpoints: wait until each of them serves, and show how it is reached."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException

import psycopg
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from engine.errors import CommandError
from pgpasswordless.connections import Database
from pgpasswordless.directories import identity_directory
from pgpasswordless.errors import PgpasswordlessError
from pgpasswordless.gateway_client import GATEWAY, GatewayTarget, curl_command, gateway_target, get
from pgpasswordless.show import show
from pgpasswordless.stack import Stack, load
from postgres.protocol import SSL_REQUEST
from sandbox import stack_context
from sandbox.deployment import STACK

TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.1
# The alert of RFC 8446, section 6.2, as OpenSSL names it.
_REVOKED = "CERTIFICATE_REVOKED"
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def wait(role_order: list[str]) -> list[str]:
    """Wait until every endpoint of the stack serves.

    Args:
        role_order: Roles in the order of the stack file; each database is shown for its first one.

    Returns:
        Lines for people, with a psql command for each database and a curl command for the gateway.

    Raises:
        CommandError: an endpoint does not serve after 60 s.
    """
    stack = load(STACK)
    lines: list[str] = []
    for name, database in stack.connections.databases.items():
        roles = sorted(
            database.roles, key=lambda role: role_order.index(role) if role in role_order else len(role_order)
        )
        lines += [
            "",
            f"{name}: PostgreSQL listens on {database.host}:{database.port}, roles {', '.join(roles)}",
        ]
        for role in roles[:1]:
            try:
                # Beside the stack context: sandboxes that run at the same time must not share key files.
                directory = identity_directory(STACK, name, role, stack_context.contexts_folder().parent)
                shown = show(stack, database=name, role=role, directory=directory)
            except PgpasswordlessError as error:
                raise CommandError(f"{name} is deployed, but role {role} cannot be shown: {error}") from error
            if database.authentication == "iam":
                # RDS listens only when it serves, so a TLS handshake proves enough and needs no token.
                _wait_for_tls(database)
            else:
                _wait_for_login(shown.connection_string)
            lines.append(shown.psql)
    return [*lines, *_wait_for_gateway(stack)]


def _retry(action: Callable[[], None], failure: Callable[[BaseException], str]) -> None:
    """Repeat an action for 60 s, until it raises no exception of a connection any more."""
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type((OSError, HTTPException, psycopg.OperationalError)),
            stop=stop_after_delay(TIMEOUT_SECONDS),
            wait=wait_fixed(_POLL_SECONDS),
        ):
            with attempt:
                action()
    except RetryError as error:
        last = error.last_attempt.exception()
        raise CommandError(failure(last or error)) from last


def _wait_for_login(connection_string: str) -> None:
    """Log in: a server that starts listens before it serves."""
    _retry(
        lambda: psycopg.connect(connection_string, connect_timeout=5).close(),
        lambda error: (
            f"PostgreSQL has refused {connection_string!r} for {TIMEOUT_SECONDS:.0f} s: {error}. "
            "Its log: `python -m sandbox logs machines`."
        ),
    )


def _wait_for_tls(database: Database) -> None:
    context = ssl.create_default_context(cadata=database.server_ca.pem)

    def handshake() -> None:
        with socket.create_connection((database.host, database.port), timeout=5) as connection:
            connection.sendall(SSL_REQUEST)
            if connection.recv(1) != b"S":
                raise ConnectionError("the server has no TLS")
            context.wrap_socket(connection, server_hostname=database.host).close()

    _retry(
        handshake,
        lambda error: (
            f"RDS has not answered on {database.host}:{database.port} for {TIMEOUT_SECONDS:.0f} s: {error}. "
            "Its log: `python -m sandbox logs rds`."
        ),
    )


def _wait_for_gateway(stack: Stack) -> list[str]:
    """Wait until the gateway accepts a client, and show how it is called as that client."""
    gateway = stack.connections.gateway
    if gateway is None:
        return []
    names = ", ".join(gateway.clients)
    lines = ["", f"gateway: {gateway.url} asks for client certificates, clients {names}"]
    for name in (name for name, client in gateway.clients.items() if client.secret_arn):
        try:
            directory = identity_directory(STACK, GATEWAY, name, stack_context.contexts_folder().parent)
            target = gateway_target(stack, name, directory)
        except PgpasswordlessError as error:
            raise CommandError(f"The gateway is deployed, but not for client {name}: {error}") from error
        # A revoked client proves nothing; try the next one.
        if accepts(target):
            return [*lines, curl_command(target)]
    return lines


def accepts(target: GatewayTarget) -> bool:
    """Wait until the gateway answers a client; False when the client's certificate is revoked.

    Raises:
        CommandError: it does not answer after 60 s; the text contains the last answer.
    """
    revoked = False

    def request() -> None:
        nonlocal revoked
        try:
            answer = get(f"{target.url}/whoami", root_certificate=target.root_certificate, files=target.files)
        except ssl.SSLError as error:
            revoked = _REVOKED in str(error)
            if not revoked:
                raise
            return
        # An application of the user's own has no /whoami, and answers 404.
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _REFUSED:
            raise HTTPException(f"{answer.status}: {answer.body[:200]!r}")

    _retry(
        request,
        lambda error: (
            f"The gateway at {target.url} has not answered {target.client} for {TIMEOUT_SECONDS:.0f} s: "
            f"{error}. "
            "Its log: `python -m sandbox logs gateway`."
        ),
    )
    return not revoked
