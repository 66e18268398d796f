"""The gateway's document: what its machines let in, and how they log in to the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pulumi

from components.published_document import PublishedDocument, PublishedDocumentArgs
from gateway.document import AllowedIdentity, GatewayDocument
from pgpasswordless.connections import Database
from settings import GatewayClient

DOCUMENT_KEY = "gateway.json"


def publish_gateway_document(
    name: str,
    *,
    database: pulumi.Input[Mapping[str, Any]],
    client_authorities: pulumi.Input[str],
    revocation_lists: pulumi.Input[Sequence[str]],
    header_suffixes: pulumi.Input[Sequence[str]],
    clients: Collection[GatewayClient],
    writers: Sequence[str],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions | None = None,
) -> PublishedDocument:
    """Publish the document, which is secret because of its header suffixes.

    Args:
        name: Name of the component.
        database: The database's entry in the connections document; of its roles only those of clients stay.
        client_authorities: PEM of the client authority's certificates.
        revocation_lists: PEM of each revocation list.
        header_suffixes: Accepted suffixes.
        clients: The allow-list.
        writers: ARNs of the roles and users that may write the document.
        tags: Tags of every child.
        opts: Options of the component.
    """
    text = pulumi.Output.secret(
        pulumi.Output.all(
            database=database,
            client_authorities=client_authorities,
            revocation_lists=revocation_lists,
            header_suffixes=header_suffixes,
        ).apply(lambda values: document_json(**values, clients=clients))
    )
    return PublishedDocument(
        name,
        PublishedDocumentArgs(
            document_type="PublishedGatewayDocument",
            key=DOCUMENT_KEY,
            text=text,
            numbered=with_serial,
            writers=writers,
            tags=tags,
        ),
        opts=opts,
    )


def document_json(
    *,
    database: Mapping[str, Any],
    client_authorities: str,
    revocation_lists: Sequence[str],
    header_suffixes: Sequence[str],
    clients: Collection[GatewayClient],
) -> str:
    """The document, which the gateway's own code has read and found good; its serial is the first one.

    Raises:
        pulumi.RunError: The gateway would refuse the document, or clients of an authority in it.
    """
    from gateway.errors import DocumentError
    from gateway.verdict import Admission

    entry = Database.model_validate(database)
    used = {client.role for client in clients}
    text = GatewayDocument(
        serial=1,
        database=entry.model_copy(
            update={"roles": {name: role for name, role in entry.roles.items() if name in used}}
        ),
        client_authorities=client_authorities,
        revocation_lists=tuple(revocation_lists),
        header_suffixes=tuple(header_suffixes),
        identities=tuple(
            AllowedIdentity(kind=kind, value=value, role=client.role)
            for client in clients
            for kind, value in client.identities
        ),
    ).to_json()
    try:
        problems = Admission.of(text).problems(datetime.now(UTC))
    except DocumentError as error:
        problems = [str(error)]
    if problems:
        raise pulumi.RunError("the gateway would refuse its document: " + "; ".join(problems))
    return text


def with_serial(text: str, serial: int) -> str:
    """The document with another serial."""
    return GatewayDocument.model_validate_json(text).model_copy(update={"serial": serial}).to_json()
