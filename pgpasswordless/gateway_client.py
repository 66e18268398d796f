"""A client of the gateway: where and as whom it calls, with its certificate and key in place."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from documents.document import Document
from pgpasswordless import identity, identity_files
from pgpasswordless.connections import Gateway, GatewayClient
from pgpasswordless.directories import identity_directory
from pgpasswordless.errors import NotSupportedError, UnknownNameError
from pgpasswordless.identity_files import IdentityFiles
from pgpasswordless.stack import Stack

GATEWAY = "gateway"
"""What the gateway is called where databases have their names."""


@dataclass(frozen=True, kw_only=True)
class GatewayTarget:
    """Where and as whom to call.

    Attributes:
        url: address of the gateway, without a final slash.
        client: name in the connections document.
        role: database role that the gateway uses for it.
        root_certificate: file of the authorities that are trusted for the gateway; None for the machine's.
        files: the client's certificate and key.
        serial_number: of the certificate.
        not_after: end of the certificate's validity, UTC.
    """

    url: str
    client: str
    role: str
    root_certificate: Path | None
    files: IdentityFiles
    serial_number: int
    not_after: datetime


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


def gateway_target(
    stack: Stack, client: str, directory: Path | None = None, *, now: datetime | None = None
) -> GatewayTarget:
    """Where and as whom `client` calls, its files fetched, checked and in place.

    Args:
        stack: what `load` returned.
        client: name in the connections document.
        directory: where the files go; `.pgpasswordless/<stack>/gateway/<client>` when None.
        now: the moment at which the certificate must be valid; the current one when None.

    Raises:
        UnknownNameError: there is no gateway, or it has no such client.
        NotSupportedError: somebody else issues this client's certificate, and has its key.
        IdentityError: certificate and key cannot be had, are wrong, or cannot be stored.
    """
    gateway, named = gateway_of(stack), gateway_client(stack, client)
    if named.secret_arn is None:
        raise NotSupportedError(
            f"the certificate of client {client!r} is issued outside of stack {stack.name!r}, which has no "
            "key of it; call with the certificate that its issuer gave out"
        )
    checked = identity.fetch(stack.aws, named.secret_arn, named.common_name or client, now=now)
    place = directory.absolute() if directory else identity_directory(stack.name, GATEWAY, client)
    files = identity_files.write(place, checked, gateway.server_ca)
    return GatewayTarget(
        url=gateway.url,
        client=client,
        role=named.role,
        root_certificate=files.root_certificate if gateway.server_ca else None,
        files=files,
        serial_number=checked.serial_number,
        not_after=checked.not_after,
    )


def curl_command(target: GatewayTarget, path: str = "/whoami") -> str:
    """A shell command that calls the gateway as `target` says."""
    trust = ["--cacert", str(target.root_certificate)] if target.root_certificate else []
    own = ["--cert", str(target.files.certificate), "--key", str(target.files.key)]
    return shlex.join(["curl", "-sS", "--fail-with-body", *trust, *own, target.url + path])


class ShownClient(Document):
    """What `show --client` answers, as a document.

    Attributes:
        certificate_not_after: end of the certificate's validity, RFC 3339 UTC.
        curl: shell command that works as it stands.
    """

    schema_version: Literal[1] = 1
    stack: str
    client: str
    role: str
    url: str
    root_certificate: str | None
    certificate: str
    key: str
    certificate_not_after: str
    curl: str


def show_client(stack: Stack, client: str, directory: Path | None = None) -> ShownClient:
    """Put the client's files in place and say how it calls; errors as in `gateway_target`."""
    target = gateway_target(stack, client, directory)
    return ShownClient(
        stack=stack.name,
        client=client,
        role=target.role,
        url=target.url,
        root_certificate=str(target.root_certificate) if target.root_certificate else None,
        certificate=str(target.files.certificate),
        key=str(target.files.key),
        certificate_not_after=f"{target.not_after:%Y-%m-%dT%H:%M:%SZ}",
        curl=curl_command(target),
    )


def client_as_text(shown: ShownClient) -> str:
    """The answer for people; the command stands alone on its line, for copying."""
    return (
        f"# {shown.client} of {shown.stack}, as database role {shown.role}, certificate valid until "
        f"{shown.certificate_not_after}\n{shown.curl}"
    )
