"""The section `gateway` of a stack file: mutual TLS in front of RDS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from settings.generation import FIRST_GENERATION, Generation
from settings.image import Image
from settings.section import Section
from settings.server_databases import AllowedClients
from settings.values import (
    AsgiApplication,
    BundlePath,
    CertificateArn,
    ClientDnsName,
    ClientName,
    ClientUri,
    CommonName,
    DnsZone,
    HostedZoneId,
    InstanceType,
    LogRetentionDays,
    PrincipalArn,
    RoleName,
    SerialNumber,
    SourcePath,
    TopicArn,
    Truth,
    Whole,
    unique,
)

BUILT_IN_APPLICATION = "gateway.application:application"
"""What runs when the stack names no application of its own."""

IdentityKind = Literal["uri", "dns", "commonName"]


class ClientAuthority(Section):
    """The authority that signs the gateway's clients; never the one of a database's roles."""

    source: Literal["generated", "external"] = "generated"
    """`generated`: by pulumi-tls, keys in the encrypted state, not for production. `external`: somebody's."""
    generations: tuple[Generation, ...] = Field(default=FIRST_GENERATION, min_length=1)
    """Generations of a generated authority; exactly one is `issuing`."""
    validity_days: Whole = Field(default=1826, ge=30, le=3653)
    """How long a generation's certificate is valid, in days; those of clients: `certificates`."""
    crl_validity_days: Whole = Field(default=30, ge=2, le=365)
    """How long a signed revocation list is good for, in days; after that the gateway lets nobody in."""
    crl_renew_before_days: Whole = Field(default=14, ge=1, le=364)
    """How many days before its end `pulumi up` signs the next revocation list."""
    bundle: BundlePath | None = None
    """PEM file of an external authority's certificates, intermediates too, from the project's folder."""
    revocation_lists: Annotated[tuple[BundlePath, ...], unique] = ()
    """PEM files of an external authority's revocation lists, one list each, from the project's folder."""


class GatewayClient(Section):
    """One client; the map's key is its name. It has exactly one of `uri`, `dns` and `commonName`."""

    uri: ClientUri | None = None
    """A URI among its certificate's alternative names, whole."""
    dns: ClientDnsName | None = None
    """A DNS name among its certificate's alternative names, whole."""
    common_name: CommonName | None = None
    """The one common name of its certificate, whole; where an authority gives out nothing better."""
    role: RoleName = Field(examples=["app_user"])
    """Database role that it acts as, one of `rds.roles`."""
    secret_readers: Annotated[tuple[PrincipalArn, ...], unique] = ()
    """Principals that may read the secret with its certificate and key, where we sign it."""
    revision: Whole = Field(default=1, ge=1)
    """A new number is a new certificate and key in the same secret, as after a revocation."""

    @property
    def identities(self) -> tuple[tuple[IdentityKind, str], ...]:
        """Kind and value of every identity it was given; one, in settings that were not refused."""
        given: tuple[tuple[IdentityKind, str | None], ...] = (
            ("uri", self.uri),
            ("dns", self.dns),
            ("commonName", self.common_name),
        )
        return tuple((kind, value) for kind, value in given if value is not None)


class Gateway(Section):
    """A load balancer with mutual TLS, and behind it the application that reaches RDS by IAM."""

    domain_name: DnsZone = Field(examples=["gateway.example.org"])
    """Name of the gateway, in its certificate."""
    hosted_zone_id: HostedZoneId | None = None
    """Zone of that name: for an alias record, and to validate a certificate where none is given."""
    certificate_arn: CertificateArn | None = None
    """Certificate in ACM; absent: one is made and validated in the hosted zone."""
    ca_bundle: BundlePath | None = None
    """PEM file of authorities that clients need for it, from the project's folder; absent: public ones."""
    port: Whole = Field(default=443, ge=1, le=65535)
    """TCP port of the load balancer."""
    internal: Truth = True
    """Reached from inside the networks only; `false`: it faces the internet, in public subnets."""
    ssl_policy: Literal[
        "ELBSecurityPolicy-TLS13-1-3-2021-06",
        "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
        "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
        "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    ] = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    """TLS versions and ciphers of the load balancer; only forward secret AEAD ones can be chosen."""
    allowed_clients: AllowedClients = AllowedClients()
    """What may reach the load balancer's port."""
    client_authority: ClientAuthority = ClientAuthority()
    """Who signs the clients."""
    revoked: Annotated[tuple[SerialNumber, ...], unique] = ()
    """Serial numbers of a generated authority's revoked certificates, hexadecimal, in quotes."""
    header_suffixes: tuple[Generation, ...] = Field(default=FIRST_GENERATION, min_length=1, max_length=2)
    """Generations of the secret end of the certificate headers' names; the `issuing` one is in use."""
    clients: Mapping[ClientName, GatewayClient] = Field(
        min_length=1, examples=[{"billing": {"uri": "spiffe://example.org/billing", "role": "app_user"}}]
    )
    """Clients by name. What is not named here is refused, whoever signed it."""
    application: AsgiApplication = BUILT_IN_APPLICATION
    """`module:attribute` of the ASGI application that runs behind the checks."""
    application_source: SourcePath | None = None
    """Folder with the application's modules, from the project's folder; absent: the built-in one runs."""
    platform: Literal["debian-13", "deploying"] = "debian-13"
    """What the program is made for: `deploying` is what runs `pulumi up`, as in the sandbox."""
    instance_type: InstanceType = "t4g.small"
    """EC2 instance type of its machines."""
    image: Image = Image()
    """Image that its machines start from."""
    minimum_size: Whole = Field(default=2, ge=1, le=100)
    """How many machines there are at least."""
    maximum_size: Whole = Field(default=4, ge=1, le=100)
    """How many machines there are at most, under load."""
    alarm_topics: Annotated[tuple[TopicArn, ...], unique] = ()
    """SNS topics that learn of unhealthy machines, errors and refused handshakes."""
    log_retention_days: LogRetentionDays = 90
    """How long access, connection and application logs are kept."""
    deletion_protection: Truth = True
    """Refuse to delete the load balancer and its logs."""
