"""The connections document of a stack: its entries, and how it is published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.published_document import PublishedDocument, PublishedDocumentArgs
from pgpasswordless.connections import (
    Authentication,
    CertificateBundle,
    Connections,
    Database,
    DeployedDocument,
    Gateway,
    GatewayClient,
    RoleConnection,
)
from postgres.protocol import MinimumProtocol

CONNECTIONS_KEY = "connections.json"


@dataclass(frozen=True, kw_only=True)
class CertificateRole:
    """How one role logs in with a certificate.

    Attributes:
        database: The database that it connects to.
        common_name: The certificate's, where it is not the role's name.
        secret_arn: ARN of the secret with certificate and key.
        certificate_not_after: End of the certificate's validity, RFC 3339.
        connection_limit: The role's limit.
    """

    database: str
    common_name: str | None = None
    secret_arn: pulumi.Input[str]
    certificate_not_after: pulumi.Input[str]
    connection_limit: int


def certificate_database(
    *,
    host: str,
    port: int,
    database: str,
    server_ca_pem: pulumi.Input[str],
    minimum_protocol: MinimumProtocol,
    region: pulumi.Input[str],
    log_group: str,
    roles: Mapping[str, CertificateRole],
) -> pulumi.Output[dict[str, Any]]:
    """A database with certificate login, for the connections document."""
    return pulumi.Output.all(
        host=host,
        port=port,
        database=database,
        server_ca_pem=server_ca_pem,
        minimum_protocol=minimum_protocol,
        authentication="certificate",
        region=region,
        log_group=log_group,
        roles={
            name: {
                "database": role.database,
                "common_name": role.common_name,
                "secret_arn": role.secret_arn,
                "certificate_not_after": role.certificate_not_after,
                "connection_limit": role.connection_limit,
            }
            for name, role in roles.items()
        },
    ).apply(lambda values: database_entry(**values))


@dataclass(frozen=True, kw_only=True)
class IamRole:
    """How one role logs in by IAM; `connect_arn` is its `rds-db:connect` resource."""

    database: str
    connect_arn: pulumi.Input[str]
    connection_limit: int


def iam_database(
    *,
    host: pulumi.Input[str],
    port: int,
    database: str,
    server_ca_pem: pulumi.Input[str],
    minimum_protocol: MinimumProtocol,
    region: pulumi.Input[str],
    resource_id: pulumi.Input[str],
    roles: Mapping[str, IamRole],
) -> pulumi.Output[dict[str, Any]]:
    """A database with IAM login, for the connections document.

    It names no log group: the lines of RDS's log do not name the rule that let a client in.
    """
    return pulumi.Output.all(
        host=host,
        port=port,
        database=database,
        server_ca_pem=server_ca_pem,
        minimum_protocol=minimum_protocol,
        authentication="iam",
        region=region,
        resource_id=resource_id,
        roles={
            name: {
                "database": role.database,
                "connect_arn": role.connect_arn,
                "connection_limit": role.connection_limit,
            }
            for name, role in roles.items()
        },
    ).apply(lambda values: database_entry(**values))


def database_entry(
    *,
    host: str,
    port: int,
    database: str,
    server_ca_pem: str,
    minimum_protocol: MinimumProtocol,
    authentication: Authentication,
    region: str,
    roles: Mapping[str, Mapping[str, Any]],
    log_group: str | None = None,
    resource_id: str | None = None,
) -> dict[str, Any]:
    """One database of the document, checked against the model."""
    entry = Database(
        host=host,
        port=port,
        database=database,
        server_ca=_certificate_bundle(server_ca_pem),
        minimum_protocol=minimum_protocol,
        authentication=authentication,
        region=region,
        log_group=log_group,
        resource_id=resource_id,
        roles={name: RoleConnection(**role) for name, role in roles.items()},
    )
    return entry.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True, kw_only=True)
class GatewayClientEntry:
    """How one client logs in to the gateway; `secret_arn` is the ARN of its identity secret, if any."""

    role: str
    common_name: str | None = None
    secret_arn: pulumi.Input[str] | None
    certificate_not_after: pulumi.Input[str] | None


def gateway_entry(
    *,
    url: pulumi.Input[str],
    document: Mapping[str, pulumi.Input[Any]],
    server_ca_pem: str | None,
    clients: Mapping[str, GatewayClientEntry],
) -> pulumi.Output[dict[str, Any]]:
    """The gateway, for the connections document; `document` is what it has to serve: serial and sha256."""
    return pulumi.Output.all(
        url=url,
        document=dict(document),
        server_ca_pem=server_ca_pem,
        clients={
            name: {
                "role": client.role,
                "common_name": client.common_name,
                "secret_arn": client.secret_arn,
                "certificate_not_after": client.certificate_not_after,
            }
            for name, client in clients.items()
        },
    ).apply(lambda values: checked_gateway(**values))


def checked_gateway(
    *,
    url: str,
    document: Mapping[str, Any],
    server_ca_pem: str | None,
    clients: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The gateway of the document, checked against the model."""
    entry = Gateway(
        url=url,
        document=DeployedDocument(**document),
        server_ca=None if server_ca_pem is None else _certificate_bundle(server_ca_pem),
        clients={name: GatewayClient(**client) for name, client in clients.items()},
    )
    return entry.model_dump(mode="json", by_alias=True)


def _certificate_bundle(pem: str) -> CertificateBundle:
    return CertificateBundle(pem=pem, sha256=hashlib.sha256(pem.encode()).hexdigest())


def connections_document(
    stack: str, databases: Mapping[str, Mapping[str, Any]], gateway: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The whole document, checked against the model."""
    return Connections.model_validate(
        {"stack": stack, "databases": databases, "gateway": gateway}
    ).model_dump(mode="json", by_alias=True)


def publish_connections(
    name: str,
    document: pulumi.Output[dict[str, Any]],
    *,
    writers: Sequence[str],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions | None = None,
) -> PublishedDocument:
    """Publish the connections document, which holds no secret."""
    return PublishedDocument(
        name,
        PublishedDocumentArgs(
            document_type="ConnectionsDocument",
            key=CONNECTIONS_KEY,
            text=document.apply(json.dumps),
            writers=writers,
            tags=tags,
        ),
        opts=opts,
    )
