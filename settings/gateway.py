"""The section `gateway`: mutual TLS in front of RDS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from postgres.identifiers import role_uri_path
from settings.aws import LogRetentionDays, PrincipalArn, TopicArn
from settings.certificates import (
    FIRST_GENERATION,
    BundlePath,
    Certificates,
    CommonName,
    Generation,
    foreign_reader_problems,
    generation_problems,
)
from settings.databases import RoleName
from settings.dns import DnsZone, HostedZoneId, zone_problems
from settings.machine import Architecture, Image, InstanceType, architecture_of, image_problems
from settings.network import SUBNET_BITS, AllowedClients, Network, security_group_problems
from settings.problems import Path, Problem
from settings.quotas import (
    ALARM_ACTIONS,
    CERTIFICATE_DOMAIN,
    LOAD_BALANCER_SUBNET,
    TRUST_STORE_CERTIFICATES,
    TRUST_STORE_LISTS,
    TRUST_STORE_REVOCATIONS,
    Quotas,
)
from settings.rds import Rds
from settings.section import Checked, Section, StrictBool, StrictInt, unique

BUILT_IN_APPLICATION = "gateway.application:application"
"""What runs when the stack names no application of its own."""

IdentityKind = Literal["uri", "dns", "commonName"]

_GATEWAY: Path = ("gateway",)
_AUTHORITY: Path = (*_GATEWAY, "clientAuthority")
_ONLY_GENERATED = {
    "generations": "generations",
    "validity_days": "validityDays",
    "crl_validity_days": "crlValidityDays",
    "crl_renew_before_days": "crlRenewBeforeDays",
}
_CLIENT = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?")
_SERIAL = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*|[0-9A-Fa-f]+")
_MAX_SERIAL = 1 << 159  # 20 bytes, the first bit of them clear; RFC 5280, 4.1.2.2
_URI = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]{1,1024}")
_APPLICATION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_MAX_APPLICATION = 200
_CERTIFICATE = re.compile(
    r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)


def client_name_problems(name: str) -> list[str]:
    """What is wrong with the name of a client, which is part of names in AWS."""
    return [] if _CLIENT.fullmatch(name) else ["is not a name for a client, such as billing"]


def uri_problems(uri: str) -> list[str]:
    """What is wrong with a URI that a certificate shall carry."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ["is not a URI such as spiffe://example.org/billing"]
    if not _URI.fullmatch(uri) or not parts.scheme or not parts.netloc or "@" in parts.netloc:
        return ["is not a URI such as spiffe://example.org/billing"]
    return []


def dns_name_problems(name: str) -> list[str]:
    """What is wrong with a DNS name that a certificate shall carry; a wildcard identifies nobody."""
    if "*" in name:
        return ["holds a wildcard, which is many clients; name one"]
    return zone_problems(name)


def serial_number_problems(serial: str) -> list[str]:
    """What is wrong with the serial number of a certificate, in hexadecimal with or without colons."""
    if not _SERIAL.fullmatch(serial):
        return ["is not hexadecimal, as openssl x509 -noout -serial prints it"]
    number = int(serial.replace(":", ""), 16)
    return [] if 0 < number < _MAX_SERIAL else ["is not a serial number: positive, 20 bytes at most"]


def _application_problems(application: str) -> list[str]:
    """What is wrong with the name of an ASGI application."""
    if not _APPLICATION.fullmatch(application):
        return ["is not of the form module:attribute"]
    if len(application) > _MAX_APPLICATION:
        return [f"has {len(application)} characters; a machine takes {_MAX_APPLICATION}"]
    return []


def _source_path_problems(path: str) -> list[str]:
    """What is wrong with the path of a folder; whether it is there is checked where it is read."""
    return [] if path.strip("/. ") else ["is not the path of a folder with Python modules"]


def _certificate_arn_problems(arn: str) -> list[str]:
    if _CERTIFICATE.fullmatch(arn):
        return []
    shape = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
    return [f"is not of the form {shape}"]


ClientName = Annotated[
    str, Checked(client_name_problems, "1 to 40 lower-case letters, digits, hyphens and _ inside")
]
ClientUri = Annotated[str, Checked(uri_problems, "a URI such as spiffe://example.org/billing")]
ClientDnsName = Annotated[str, Checked(dns_name_problems, "a DNS name of one client")]
SerialNumber = Annotated[str, Checked(serial_number_problems, "a serial number in hexadecimal, in quotes")]
AsgiApplication = Annotated[str, Checked(_application_problems, "module:attribute of an ASGI application")]
SourcePath = Annotated[str, Checked(_source_path_problems, "the path of a folder")]
CertificateArn = Annotated[str, Checked(_certificate_arn_problems, "the ARN of a certificate in ACM")]


class ClientAuthority(Section):
    """The authority that signs the gateway's clients; never the one of a database's roles."""

    source: Literal["generated", "external"] = "generated"
    """`generated`: by pulumi-tls, keys in the encrypted state, not for production. `external`: any PKI."""
    generations: tuple[Generation, ...] = Field(default=FIRST_GENERATION, min_length=1)
    """Generations of a generated authority; exactly one is `issuing`."""
    validity_days: StrictInt = Field(default=1826, ge=30, le=3653)
    """How long a generation's certificate is valid, in days; those of clients: `certificates`."""
    crl_validity_days: StrictInt = Field(default=397, ge=2, le=397)
    """How long a signed revocation list is good for, in days; after that the gateway refuses everybody."""
    crl_renew_before_days: StrictInt = Field(default=180, ge=1, le=396)
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
    """The one common name of its certificate, whole; where its alternative names only repeat it."""
    role: RoleName = Field(examples=["app_user"])
    """Database role that it acts as, one of `rds.roles`."""
    secret_readers: Annotated[tuple[PrincipalArn, ...], unique] = ()
    """Principals that may read the secret with its certificate and key, where we sign it."""
    revision: StrictInt = Field(default=1, ge=1)
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

    @property
    def identity(self) -> tuple[IdentityKind, str]:
        """Kind and value of its identity.

        Raises:
            ValueError: There is not exactly one.
        """
        (identity,) = self.identities
        return identity


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
    port: StrictInt = Field(default=443, ge=1, le=65535)
    """TCP port of the load balancer."""
    internal: StrictBool = True
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
    minimum_size: StrictInt = Field(default=2, ge=1, le=100)
    """How many machines there are at least."""
    maximum_size: StrictInt = Field(default=4, ge=1, le=100)
    """How many machines there are at most, under load."""
    report_deadline_seconds: StrictInt = Field(default=1200, ge=10, le=7200)
    """How long `pulumi up` waits until every machine in service serves its document, in seconds."""
    alarm_topics: Annotated[tuple[TopicArn, ...], unique] = Field(default=(), max_length=ALARM_ACTIONS.limit)
    """SNS topics that learn of unhealthy machines, errors and refused handshakes."""
    log_retention_days: LogRetentionDays = 90
    """How long access, connection and application logs are kept."""
    deletion_protection: StrictBool = True
    """Refuse to delete the load balancer and its logs."""

    @property
    def architecture(self) -> Architecture:
        """Processor of the machines."""
        return architecture_of(self.instance_type)


def gateway_problems(
    gateway: Gateway, rds: Rds | None, network: Network | None, certificates: Certificates, quotas: Quotas
) -> Iterator[Problem]:
    """Cross-field validation of a valid section `gateway`."""
    yield from _database_problems(rds)
    yield from _network_problems(gateway, network)
    yield from security_group_problems(_GATEWAY, gateway.allowed_clients, quotas)
    yield from _trust_store_problems(gateway, quotas)
    yield from _address_problems(gateway)
    if gateway.client_authority.source == "generated":
        yield from _generated_authority_problems(gateway.client_authority, certificates)
    else:
        yield from _external_authority_problems(gateway)
    yield from generation_problems((*_GATEWAY, "headerSuffixes"), gateway.header_suffixes)
    yield from _client_problems(gateway, rds)
    if gateway.client_authority.source == "generated":
        yield from _issued_name_problems(gateway)
        for name, client in gateway.clients.items():
            readers = (*_GATEWAY, "clients", name, "secretReaders")
            yield from foreign_reader_problems(readers, client.secret_readers, certificates)
    yield from _machine_problems(gateway)


def _database_problems(rds: Rds | None) -> Iterator[Problem]:
    if rds is None:
        yield Problem(
            _GATEWAY,
            "has no database behind it; add a section rds with the roles of its clients",
            reads=(_GATEWAY, ("rds",)),
        )


def _network_problems(gateway: Gateway, network: Network | None) -> Iterator[Problem]:
    if network and network.existing and not gateway.internal and len(network.existing.public_subnet_ids) < 2:
        path = ("network", "existing", "publicSubnetIds")
        yield Problem(
            path,
            f"has {len(network.existing.public_subnet_ids)}, and a gateway with internal: false needs public "
            "subnets in two zones; name them, or make it internal",
            reads=(path, (*_GATEWAY, "internal")),
        )
    if network and network.create:
        path = ("network", "create", "cidr")
        prefix = IPv4Network(network.create.cidr).prefixlen + SUBNET_BITS
        if LOAD_BALANCER_SUBNET.excess(prefix):
            largest = LOAD_BALANCER_SUBNET.limit - SUBNET_BITS
            yield Problem(
                path,
                f"makes subnets of /{prefix}, and a load balancer takes none smaller than "
                f"/{LOAD_BALANCER_SUBNET.limit}; choose a /{largest} or larger",
                network.create.cidr,
                (path, _GATEWAY),
            )
    clients = gateway.allowed_clients
    if not (clients.networks or clients.security_groups):
        yield Problem(
            (*_GATEWAY, "allowedClients"), "lets nobody reach the gateway; name networks or securityGroups"
        )


def _address_problems(gateway: Gateway) -> Iterator[Problem]:
    if gateway.certificate_arn is None and gateway.hosted_zone_id is None:
        yield Problem(
            _GATEWAY,
            f"has neither certificateArn nor hostedZoneId; give a certificate for {gateway.domain_name}, or "
            "the zone in which ACM can validate one",
            reads=((*_GATEWAY, "certificateArn"), (*_GATEWAY, "hostedZoneId"), (*_GATEWAY, "domainName")),
        )

    if gateway.certificate_arn is None and (excess := CERTIFICATE_DOMAIN.excess(len(gateway.domain_name))):
        path = (*_GATEWAY, "domainName")
        yield Problem(
            path,
            f"makes {excess}; choose a shorter name, or give a certificateArn",
            gateway.domain_name,
            (path, (*_GATEWAY, "certificateArn")),
        )


def _trust_store_problems(gateway: Gateway, quotas: Quotas) -> Iterator[Problem]:
    """More generations, revocation lists or revoked certificates than one trust store takes."""
    authority = gateway.client_authority
    generations, lists = len(authority.generations), len(authority.revocation_lists)
    for key, excess in (
        ("generations", TRUST_STORE_CERTIFICATES.excess(generations, quotas)),
        # Each generation has a list.
        ("generations", TRUST_STORE_LISTS.excess(generations, quotas)),
        ("revocationLists", TRUST_STORE_LISTS.excess(lists, quotas)),
    ):
        if excess:
            path = (*_AUTHORITY, key)
            yield Problem(path, f"makes {excess}; remove what nobody uses", reads=(path, ("quotas",)))
    if excess := TRUST_STORE_REVOCATIONS.excess(len(gateway.revoked) * generations):
        path = (*_GATEWAY, "revoked")
        yield Problem(
            path,
            f"makes {excess}, since each generation lists them all; begin a generation, and remove the old",
            reads=(path, (*_AUTHORITY, "generations")),
        )


def _generated_authority_problems(
    authority: ClientAuthority, certificates: Certificates
) -> Iterator[Problem]:
    for key, given in (("bundle", authority.bundle), ("revocationLists", authority.revocation_lists)):
        if given:
            path = (*_AUTHORITY, key)
            yield Problem(
                path,
                "is of an external authority, and this one is generated; remove it, or set source: external",
                reads=(path, (*_AUTHORITY, "source")),
            )
    yield from generation_problems((*_AUTHORITY, "generations"), authority.generations)
    renew, crl = (*_AUTHORITY, "crlRenewBeforeDays"), (*_AUTHORITY, "crlValidityDays")
    if authority.crl_renew_before_days >= authority.crl_validity_days:
        yield Problem(
            renew,
            f"is not shorter than crlValidityDays ({authority.crl_validity_days}), so that every pulumi up "
            f"would sign a new list; allowed: 1 to {authority.crl_validity_days - 1}",
            authority.crl_renew_before_days,
            (renew, crl),
        )
    leaf_days = certificates.leaf_validity_days
    if authority.crl_validity_days < leaf_days:
        yield Problem(
            crl,
            f"is shorter than certificates.leafValidityDays ({leaf_days}), so that the list ends before the "
            "certificates do, and then nobody is let in; lengthen it",
            authority.crl_validity_days,
            (crl, ("certificates", "leafValidityDays")),
        )
    if leaf_days >= authority.validity_days:
        path = (*_AUTHORITY, "validityDays")
        yield Problem(
            path,
            f"is not longer than certificates.leafValidityDays ({leaf_days}); a certificate is worth nothing "
            "after its authority's end: lengthen the one or shorten the other",
            authority.validity_days,
            (path, ("certificates", "leafValidityDays")),
        )


def _external_authority_problems(gateway: Gateway) -> Iterator[Problem]:
    authority = gateway.client_authority
    source = (*_AUTHORITY, "source")
    if authority.bundle is None:
        path = (*_AUTHORITY, "bundle")
        yield Problem(
            path,
            "is missing, and an external authority is known by it; give the path of its certificates in PEM",
            reads=(path, source),
        )
    for name in sorted(authority.model_fields_set & set(_ONLY_GENERATED)):
        path = (*_AUTHORITY, _ONLY_GENERATED[name])
        yield Problem(
            path,
            "is of a generated authority, and this one is external; remove it",
            reads=(path, source),
        )
    if gateway.revoked:
        path = (*_GATEWAY, "revoked")
        yield Problem(
            path,
            "revokes what somebody else has signed; put that authority's own list into "
            "clientAuthority.revocationLists",
            reads=(path, source),
        )
    stems: dict[str, str] = {}
    for index, file in enumerate(authority.revocation_lists):
        stem = PurePosixPath(file).stem
        if (twin := stems.setdefault(stem, file)) != file:
            yield Problem(
                (*_AUTHORITY, "revocationLists", index),
                f"has the same name as {twin} in another folder; lists are told apart by the names of their "
                "files: rename one",
                file,
                ((*_AUTHORITY, "revocationLists"),),
            )
    for name, client in gateway.clients.items():
        for field, key in (("secret_readers", "secretReaders"), ("revision", "revision")):
            if field in client.model_fields_set:
                path = (*_GATEWAY, "clients", name, key)
                yield Problem(
                    path,
                    "is about a certificate that we sign, and clientAuthority is external; remove it",
                    reads=(path, source),
                )


def _client_problems(gateway: Gateway, rds: Rds | None) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for name, client in gateway.clients.items():
        path = (*_GATEWAY, "clients", name)
        identities = client.identities
        if len(identities) != 1:
            given = " and ".join(kind for kind, _ in identities) or "no identity"
            yield Problem(path, f"has {given}; give exactly one of uri, dns and commonName")
        for identity in identities:
            if (twin := seen.setdefault(identity, name)) != name:
                yield Problem(
                    (*path, identity[0]),
                    f"is also that of {twin}; one certificate is one client",
                    identity[1],
                    ((*path, identity[0]), (*_GATEWAY, "clients", twin)),
                )
        if rds is not None and client.role not in rds.roles:
            known = ", ".join(rds.roles) or "none"
            yield Problem(
                (*path, "role"),
                f"is not one of rds.roles ({known}); declare it there, or choose another",
                client.role,
                ((*path, "role"), ("rds", "roles")),
            )


def _issued_name_problems(gateway: Gateway) -> Iterator[Problem]:
    """Clients that are known by a name that another client's certificate carries as well.

    The certificate of a client by uri or dns has the client's own name as common name; the one of a client
    by commonName has a URI that ends in `/role/` and that name.
    """
    for name, client in gateway.clients.items():
        carried = client.common_name or name
        for twin, other in gateway.clients.items():
            path = (*_GATEWAY, "clients", twin)
            reads = (path, (*_GATEWAY, "clients", name))
            if client.common_name is None and other.common_name == carried:
                yield Problem(
                    (*path, "commonName"),
                    f"is also the common name in the certificate of {name}, since a client by uri or dns has "
                    "its own name there; name that client otherwise, or know this one by uri or dns",
                    other.common_name,
                    reads,
                )
            if client.common_name and other.uri and urlsplit(other.uri).path == role_uri_path(carried):
                yield Problem(
                    (*path, "uri"),
                    f"may also be the URI in the certificate of {name}, which ends in "
                    f"{role_uri_path(carried)}; choose another path",
                    other.uri,
                    reads,
                )


def _machine_problems(gateway: Gateway) -> Iterator[Problem]:
    smallest, largest = (*_GATEWAY, "minimumSize"), (*_GATEWAY, "maximumSize")
    if gateway.minimum_size > gateway.maximum_size:
        yield Problem(
            smallest,
            f"is more than maximumSize ({gateway.maximum_size}); allowed: 1 to {gateway.maximum_size}",
            gateway.minimum_size,
            (smallest, largest),
        )
    yield from image_problems((*_GATEWAY, "image"), gateway.image)
    application, source = (*_GATEWAY, "application"), (*_GATEWAY, "applicationSource")
    if gateway.application != BUILT_IN_APPLICATION and gateway.application_source is None:
        yield Problem(
            application,
            "is not the built-in application, and no applicationSource says where its modules are; give it",
            gateway.application,
            (application, source),
        )
    if gateway.application == BUILT_IN_APPLICATION and gateway.application_source is not None:
        yield Problem(
            source,
            "brings modules, and the built-in application runs; name yours in application, or remove it",
            gateway.application_source,
            (application, source),
        )
