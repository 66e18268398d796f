"""A client of the gateway: where and as whom it calls, and one call with mutual TLS."""

from __future__ import annotations

import http.client
import shlex
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pgpasswordless import identity, identity_files
from pgpasswordless.connections import Gateway, GatewayClient
from pgpasswordless.directories import identity_directory
from pgpasswordless.errors import NotSupportedError, UnknownNameError
from pgpasswordless.identity_files import IdentityFiles
from pgpasswordless.stack import Stack

GATEWAY = "gateway"
"""The gateway's name where databases are named: in options, folders and reports."""

TIMEOUT_SECONDS = 15
MAX_BODY = 1_000_000
_HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class GatewayTarget:
    """Where and as whom to call.

    Attributes:
        url: address of the gateway, without a final slash.
        client: name in the connections document.
        role: database role that the gateway uses for it.
        root_certificate: file of the authorities that are trusted for the gateway; None for the machine's.
        files: the client's certificate and key.
    """

    url: str
    client: str
    role: str
    root_certificate: Path | None
    files: IdentityFiles


def gateway_of(stack: Stack) -> Gateway:
    """The stack's gateway.

    Raises:
        UnknownNameError: it has none.
    """
    if stack.connections.gateway is None:
        raise UnknownNameError(
            f"stack {stack.name!r} has no gateway; add the section gateway to its settings and deploy it"
        )
    return stack.connections.gateway


def gateway_client(stack: Stack, client: str) -> GatewayClient:
    """The client called `client`.

    Raises:
        UnknownNameError: there is no gateway, or it has no such client.
    """
    clients = gateway_of(stack).clients
    if client not in clients:
        raise UnknownNameError(
            f"the gateway of stack {stack.name!r} has no client {client!r}; it has: "
            f"{', '.join(sorted(clients)) or 'none'}"
        )
    return clients[client]


def gateway_target(stack: Stack, client: str, directory: Path | None = None) -> GatewayTarget:
    """Where and as whom `client` calls, its files fetched, checked and in place.

    Args:
        stack: what `load` returned.
        client: name in the connections document.
        directory: where the files go; `.pgpasswordless/<stack>/gateway/<client>` when None.

    Raises:
        UnknownNameError: there is no gateway, or it has no such client.
        NotSupportedError: this client's certificate is issued outside of the stack, which has no key of it.
        IdentityError: certificate and key cannot be fetched, are wrong, or cannot be stored.
    """
    gateway, named = gateway_of(stack), gateway_client(stack, client)
    if named.secret_arn is None:
        raise NotSupportedError(
            f"the certificate of client {client!r} is issued outside of stack {stack.name!r}, which has no "
            "key of it; call with the certificate from its issuer"
        )
    checked = identity.fetch(stack.aws, named.secret_arn, named.common_name or client)
    place = directory.absolute() if directory else identity_directory(stack.name, GATEWAY, client)
    files = identity_files.write(place, checked, gateway.server_ca)
    return GatewayTarget(
        url=gateway.url,
        client=client,
        role=named.role,
        root_certificate=files.root_certificate if gateway.server_ca else None,
        files=files,
    )


def curl_command(target: GatewayTarget, path: str = "/whoami") -> str:
    """A shell command that calls the gateway as `target` says."""
    trust = ["--cacert", str(target.root_certificate)] if target.root_certificate else []
    own = ["--cert", str(target.files.certificate), "--key", str(target.files.key)]
    return shlex.join(["curl", "-sS", "--fail-with-body", *trust, *own, target.url + path])


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The gateway's answer.

    Attributes:
        status: HTTP status.
        body: at most `MAX_BODY` bytes.
        tls_version: such as `TLSv1.3`.
        cipher: name of the cipher suite.
    """

    status: int
    body: bytes = field(repr=False)
    tls_version: str
    cipher: str


def address(url: str) -> tuple[str, int, str]:
    """Host, port and path of an https URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _HTTPS, parts.path or "/"


def get(
    url: str,
    *,
    root_certificate: Path | None,
    files: IdentityFiles | None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """GET `url` on a connection of its own.

    Args:
        url: https, with its path.
        root_certificate: file of the trusted authorities; None for those of the machine.
        files: certificate and key to present; None for none.
        headers: further headers.

    Raises:
        OSError: there is no connection, or the handshake was refused (`ssl.SSLError`).
        http.client.HTTPException: the answer is not HTTP.
    """
    host, port, path = address(url)
    context = ssl.create_default_context(cafile=str(root_certificate) if root_certificate else None)
    if files is not None:
        context.load_cert_chain(files.certificate, files.key)
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
    try:
        connection.connect()
        secured = connection.sock
        version, cipher = secured.version(), secured.cipher()
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(
            status=response.status,
            body=response.read(MAX_BODY),
            tls_version=version or "",
            cipher=cipher[0] if cipher else "",
        )
    finally:
        connection.close()
