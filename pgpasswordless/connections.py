"""The connections document: what a client needs to reach each database. It contains no secret."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from documents.document import Document, Sha256
from postgres.protocol import MinimumProtocol

SCHEMA_VERSION = 1

Authentication = Literal["certificate", "iam"]


def _moment(value: str | None) -> str | None:
    if value is None:
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{value!r} is not an RFC 3339 time with an offset, such as 2027-01-31T12:00:00Z")
    return value


class CertificateBundle(Document):
    """PEM certificates that the client shall trust for the server, and the SHA-256 of that text."""

    pem: str = Field(description="PEM certificates, one after another")
    sha256: Sha256 = Field(description="SHA-256 of `pem` in UTF-8, in lower case hexadecimal")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> CertificateBundle:
        if "PRIVATE KEY" in self.pem:
            raise ValueError("a bundle holds certificates only, and this one holds a private key")
        found = hashlib.sha256(self.pem.encode()).hexdigest()
        if found != self.sha256:
            raise ValueError(
                f"the SHA-256 of pem is {found}, and the document says {self.sha256}: the bundle was changed"
                " after the document was made; export the document again"
            )
        return self


class RoleConnection(Document):
    """How one database role logs in.

    Certificate login: `secret_arn` is the secret with `certificate` and `privateKey`, and
    `certificate_not_after` is RFC 3339 UTC. IAM login: `connect_arn` is the `rds-db:connect`
    resource. `connection_limit` is the role's limit, -1 for none. `max_lifetime_seconds` is the
    recommended maximum lifetime of a pooled connection.
    """

    database: str = Field(min_length=1, description="name of the database that the role connects to")
    common_name: str | None = Field(
        default=None,
        min_length=1,
        description="CN of its certificate, where that is not the role's name",
        exclude_if=lambda value: value is None,
    )
    secret_arn: str | None = Field(
        default=None, description="secret with the role's `certificate` and `privateKey`"
    )
    certificate_not_after: str | None = Field(default=None, description="end of validity, RFC 3339")
    connect_arn: str | None = Field(
        default=None, description="`rds-db:connect` resource of the role, for IAM login"
    )
    connection_limit: int = Field(
        default=-1, ge=-1, description="connections that the role may have, -1 for any"
    )
    max_lifetime_seconds: int = Field(
        default=3600, gt=0, description="recommended maximum lifetime of a pooled connection, in seconds"
    )

    _is_a_moment = field_validator("certificate_not_after")(_moment)


class Database(Document):
    """One server: address, trust, and its roles by name.

    `log_group` names the CloudWatch log group with the server's own log, where there is one.
    """

    host: str = Field(min_length=1, description="name in the server's certificate")
    port: int = Field(ge=1, le=65535)
    database: str = Field(min_length=1, description="name of the default database")
    server_ca: CertificateBundle = Field(description="authorities that the client trusts for this server")
    minimum_protocol: MinimumProtocol = Field(description="oldest TLS version that the server accepts")
    authentication: Authentication
    region: str | None = Field(default=None, description="AWS region, for IAM tokens")
    resource_id: str | None = Field(default=None, description="`DbiResourceId`, for IAM login")
    log_group: str | None = Field(
        default=None, description="CloudWatch log group with the server's own log (jsonlog, a line per event)"
    )
    roles: dict[str, RoleConnection] = Field(description="roles by name")

    @field_validator("host")
    @classmethod
    def _is_one_host(cls, value: str) -> str:
        # libpq takes commas as a list of hosts, and a leading slash or @ as a socket.
        if any(character in value for character in ",/@") or any(c.isspace() for c in value):
            raise ValueError(f"{value!r} is not one host name or address")
        return value

    @model_validator(mode="after")
    def _roles_can_log_in(self) -> Database:
        needed = "secret_arn" if self.authentication == "certificate" else "connect_arn"
        lacking = sorted(name for name, role in self.roles.items() if not getattr(role, needed))
        if lacking:
            raise ValueError(
                f"authentication is {self.authentication!r}, which needs {to_camel(needed)} for every role;"
                f" it is missing for: {', '.join(lacking)}"
            )
        return self


class GatewayClient(Document):
    """One client of the gateway: the secret with its identity, and the database role that it uses.

    A client whose certificate is issued elsewhere has no secret here.
    """

    role: str = Field(min_length=1, description="database role that the gateway uses for it")
    common_name: str | None = Field(
        default=None, description="CN of its certificate, where that is not the client's name"
    )
    secret_arn: str | None = Field(
        default=None, description="secret with the client's `certificate` and `privateKey`"
    )
    certificate_not_after: str | None = Field(default=None, description="end of validity, RFC 3339")

    _is_a_moment = field_validator("certificate_not_after")(_moment)


class DeployedDocument(Document):
    """Which document of the stack the gateway's instances have to serve."""

    serial: int = Field(ge=1, description="orders the documents")
    sha256: Sha256 = Field(description="SHA-256 of the document")


class Gateway(Document):
    """The load balancer with mutual TLS in front of the gateway application.

    `server_ca` is None where its certificate is from a public authority.
    """

    url: str = Field(pattern=r"^https://[^/\s]+$", description="its address, without a final slash")
    server_ca: CertificateBundle | None = Field(
        default=None, description="authorities that the client trusts for it, where they are not public"
    )
    document: DeployedDocument | None = Field(
        default=None, description="what its instances have to serve, where that is known"
    )
    clients: dict[str, GatewayClient] = Field(default_factory=dict, description="clients by name")


class Connections(Document):
    """The whole document; `databases` by name (`self-managed`, `rds`)."""

    schema_version: Literal[1] = SCHEMA_VERSION
    stack: str = Field(min_length=1, description="name of the Pulumi stack")
    databases: dict[str, Database] = Field(default_factory=dict, description="databases by name")
    gateway: Gateway | None = Field(default=None, description="the gateway, where there is one")


def json_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of the connections document."""
    schema = Connections.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
