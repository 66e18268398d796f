"""The application tier: a load balancer with mutual TLS, the gateway behind it, and RDS by IAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import pulumi
from pulumi_aws import route53

from components.account import Account
from components.connections import GatewayClientEntry, gateway_entry
from components.gateway.alarms import GatewayAlarms, GatewayAlarmsArgs
from components.gateway.artifact import GatewayArtifact
from components.gateway.client_authority import ClientTrust
from components.gateway.document import (
    AllowedIdentity,
    PublishedGatewayDocument,
    PublishedGatewayDocumentArgs,
)
from components.gateway.header_suffixes import HeaderSuffixes, HeaderSuffixesArgs
from components.gateway.listener import (
    RECOMMENDED_SSL_POLICY,
    MutualTlsListener,
    MutualTlsListenerArgs,
    SslPolicy,
)
from components.gateway.machines import GatewayMachines, GatewayMachinesArgs
from components.gateway.security_groups import GatewayFirewall, GatewayFirewallArgs
from components.gateway.server_certificate import ServerCertificate, ServerCertificateArgs
from components.gateway.trust_store import TrustStore, TrustStoreArgs
from components.names import slug, stack_path
from components.network import Network
from components.pinned_image import Architecture
from components.pki.certificates import AlternativeName, Generation, Issuer
from components.pki.identity import Identity, IdentityArgs
from components.rds.instance import RdsPostgres
from components.self_managed.machine import DebianImage
from components.zip_archive import PROJECT
from gateway.document import IdentityKind
from gateway.machine import APPLICATION

TARGET_PORT = 8443
METRICS_PORT = 9464

_HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class GatewayClient:
    """One client of a gateway.

    Attributes:
        kind: What of its certificate identifies it.
        value: The whole value of that.
        role: Database role that it acts as.
        secret_readers: ARNs of the roles and users that may read its secret, where it has one.
        revision: A new number is a new key and certificate, where the gateway's own authority signs it.
    """

    kind: IdentityKind
    value: str
    role: str
    secret_readers: Sequence[str] = ()
    revision: int = 1


@dataclass(frozen=True, kw_only=True)
class MutualTlsGatewayArgs:
    """Arguments of `MutualTlsGateway`.

    Attributes:
        stack: Name of the stack.
        account: Where it is.
        network: The network, with private subnets in two zones at least.
        database: The RDS instance behind it.
        administrators: ARNs of the roles and users that may write what it is made of and manage its
            clients' secrets; whoever runs `pulumi up` must be among them.
        domain_name: Its name.
        zone_id: Hosted zone of that name: for an alias, and for the certificate where none is given.
        certificate_arn: Certificate of ACM for that name; None for one to be made.
        server_ca_pem: What clients trust for it; None where its authority is a public one.
        port: Port of the listener.
        internal: Whether it is reached from inside only, or faces the internet.
        ssl_policy: What the listener negotiates.
        allowed_networks: Networks that reach the listener.
        allowed_security_groups: Security groups that reach the listener.
        trust: The client authority's certificates and revocation lists.
        issuer: Signs the clients, where the authority is our own; None where clients have certificates.
        header_suffixes: Generations of the secret end of the header names.
        clients: Clients by name.
        artifact: The program of its machines.
        launcher: Text of the program that fetches it.
        application: `module:attribute` of the ASGI application in the artifact.
        instance_type: EC2 instance type.
        architecture: Its processor architecture.
        image: Which Debian 13, or the id of an image.
        minimum_size: How many machines there are at least.
        maximum_size: How many machines there are at most.
        alarm_topics: ARNs of SNS topics for alarms.
        log_retention_days: How long logs are kept.
        deletion_protection: Refuse to delete the load balancer and its logs.
        tags: Tags of every child.

    Raises:
        ValueError: Neither certificate nor zone, no client, or two clients of one identity.
    """

    stack: str
    account: Account
    network: Network
    database: RdsPostgres
    administrators: Sequence[str]
    domain_name: str
    zone_id: str | None = None
    certificate_arn: str | None = None
    server_ca_pem: str | None = None
    port: int = _HTTPS
    internal: bool = True
    ssl_policy: SslPolicy = RECOMMENDED_SSL_POLICY
    allowed_networks: Sequence[str] = ()
    allowed_security_groups: Sequence[str] = ()
    trust: ClientTrust
    issuer: Issuer | None = None
    header_suffixes: Sequence[Generation] = (Generation(name="1", state="issuing"),)
    clients: Mapping[str, GatewayClient]
    artifact: GatewayArtifact
    launcher: str = field(repr=False)
    application: str = APPLICATION
    instance_type: str = "t4g.small"
    architecture: Architecture = "arm64"
    image: DebianImage | str = field(default_factory=DebianImage)
    minimum_size: int = 2
    maximum_size: int = 4
    alarm_topics: Sequence[str] = ()
    log_retention_days: int = 90
    deletion_protection: bool = True
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        if self.certificate_arn is None and self.zone_id is None:
            raise ValueError(
                "certificate_arn, zone_id: both None; give the certificate, or the zone in which "
                "one is validated"
            )
        if not self.clients:
            raise ValueError("clients: empty; nobody could come")
        seen: dict[tuple[str, str], str] = {}
        for name, client in self.clients.items():
            if (twin := seen.setdefault((client.kind, client.value), name)) != name:
                raise ValueError(
                    f"clients: {twin!r} and {name!r} are both {client.kind} {client.value!r}; one "
                    "certificate is one client"
                )


@final
@dataclass(frozen=True, kw_only=True)
class MutualTlsGatewayResources:
    """Children of `MutualTlsGateway`; `clients` by name, none where somebody else signs them.

    There is a `certificate` only where none was given, and a `record` only with a zone.
    """

    header_suffixes: HeaderSuffixes
    trust_store: TrustStore
    certificate: ServerCertificate | None
    firewall: GatewayFirewall
    listener: MutualTlsListener
    record: route53.Record | None
    clients: dict[str, Identity]
    document: PublishedGatewayDocument
    machines: GatewayMachines
    alarms: GatewayAlarms


class MutualTlsGateway(pulumi.ComponentResource):
    """`passwordless-postgres:index:MutualTlsGateway`: client certificate in, RDS by IAM out.

    Makes the `HeaderSuffixes`, a `TrustStore`, a `ServerCertificate` where none is given, a
    `GatewayFirewall`, a `MutualTlsListener`, an alias record, an `Identity` per client of our own
    authority, the `PublishedGatewayDocument`, `GatewayMachines` and `GatewayAlarms`.

    Attributes:
        url: Its address, without a final slash; known once its machines serve.
        connection: Its entry in the connections document, without secrets; known at the same time.
        resources: The children.
    """

    url: pulumi.Output[str]
    connection: pulumi.Output[dict[str, Any]]
    resources: MutualTlsGatewayResources

    def __init__(
        self, name: str, args: MutualTlsGatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the gateway."""
        super().__init__("passwordless-postgres:index:MutualTlsGateway", name, {}, opts)
        self._name, self._args = name, args
        suffixes = HeaderSuffixes(
            f"{name}-headers",
            HeaderSuffixesArgs(generations=args.header_suffixes),
            opts=pulumi.ResourceOptions(parent=self),
        )
        trust_store = TrustStore(
            f"{name}-clients",
            TrustStoreArgs(
                bundle_pem=args.trust.bundle_pem,
                revocation_lists=args.trust.revocation_lists,
                writers=args.administrators,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        certificate = self._certificate()
        firewall = GatewayFirewall(
            f"{name}-firewall",
            GatewayFirewallArgs(
                vpc_id=args.network.vpc_id,
                port=args.port,
                target_port=TARGET_PORT,
                networks=args.allowed_networks,
                security_groups=args.allowed_security_groups,
                internal=args.internal,
                database_security_group=args.database.security_group_id,
                database_port=args.database.port,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        document = self._document(suffixes, trust_store)
        listener = self._listener(suffixes, trust_store, certificate, firewall, document)
        record = self._record(listener)
        clients = self._clients()
        machines = self._machines(firewall, listener, document)
        alarms = GatewayAlarms(
            f"{name}-alarms",
            GatewayAlarmsArgs(
                load_balancer=listener.arn_suffix,
                target_group=listener.target_group_arn_suffix,
                topics=args.alarm_topics,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = MutualTlsGatewayResources(
            header_suffixes=suffixes,
            trust_store=trust_store,
            certificate=certificate,
            firewall=firewall,
            listener=listener,
            record=record,
            clients=clients,
            document=document,
            machines=machines,
            alarms=alarms,
        )
        url = gateway_url(args.domain_name, args.port)
        self.url = machines.resources.group.id.apply(lambda _: url)
        self.connection = gateway_entry(
            url=self.url,
            server_ca_pem=args.server_ca_pem,
            clients={
                each: GatewayClientEntry(
                    role=client.role,
                    common_name=client.value if client.kind == "commonName" else None,
                    secret_arn=clients[each].secret_arn if each in clients else None,
                    certificate_not_after=clients[each].not_after if each in clients else None,
                )
                for each, client in args.clients.items()
            },
        )
        self.register_outputs({"url": self.url, "connection": self.connection})

    def _certificate(self) -> ServerCertificate | None:
        args = self._args
        if args.certificate_arn is not None or args.zone_id is None:
            return None
        return ServerCertificate(
            f"{self._name}-server",
            ServerCertificateArgs(domain_name=args.domain_name, zone_id=args.zone_id, tags=args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _document(self, suffixes: HeaderSuffixes, trust_store: TrustStore) -> PublishedGatewayDocument:
        args = self._args
        return PublishedGatewayDocument(
            f"{self._name}-document",
            PublishedGatewayDocumentArgs(
                pointer_name=pointer_name(args.stack, self._name),
                database=args.database.connection,
                client_authorities=trust_store.bundle_pem,
                revocation_lists=trust_store.revocation_lists,
                header_suffixes=suffixes.accepted,
                identities=[
                    AllowedIdentity(kind=client.kind, value=client.value, role=client.role)
                    for client in args.clients.values()
                ],
                writers=args.administrators,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _listener(
        self,
        suffixes: HeaderSuffixes,
        trust_store: TrustStore,
        certificate: ServerCertificate | None,
        firewall: GatewayFirewall,
        document: PublishedGatewayDocument,
    ) -> MutualTlsListener:
        args = self._args
        subnets = args.network.private_subnets if args.internal else args.network.public_subnets
        certificate_arn = certificate.arn if certificate is not None else args.certificate_arn
        assert certificate_arn is not None  # noqa: S101 - one of the two, or the arguments were refused
        return MutualTlsListener(
            f"{self._name}-lb",
            MutualTlsListenerArgs(
                account=args.account,
                vpc_id=args.network.vpc_id,
                subnets=[subnet.id for subnet in subnets],
                security_group=firewall.load_balancer_id,
                internal=args.internal,
                port=args.port,
                target_port=TARGET_PORT,
                certificate_arn=certificate_arn,
                ssl_policy=args.ssl_policy,
                trust_store_arn=trust_store.arn,
                header_suffix=suffixes.listener,
                deletion_protection=args.deletion_protection,
                log_retention_days=args.log_retention_days,
                # Gateways know a suffix before the listener uses it.
                serve_after=[args.network, trust_store, document],
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _record(self, listener: MutualTlsListener) -> route53.Record | None:
        args = self._args
        if args.zone_id is None:
            return None
        return route53.Record(
            f"{self._name}-host",
            zone_id=args.zone_id,
            name=args.domain_name,
            type=route53.RecordType.A,
            aliases=[
                route53.RecordAliasArgs(
                    name=listener.dns_name, zone_id=listener.zone_id, evaluate_target_health=True
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _clients(self) -> dict[str, Identity]:
        args = self._args
        if args.issuer is None:
            return {}
        return {
            name: Identity(
                f"{self._name}-client-{slug(name)}",
                IdentityArgs(
                    issuer=args.issuer,
                    purpose="client",
                    common_name=client.value if client.kind == "commonName" else name,
                    alternative_name=(
                        None
                        if client.kind == "commonName"
                        else AlternativeName(kind=client.kind, value=client.value)
                    ),
                    revision=client.revision,
                    description=(
                        f"Certificate and key of {name}, a client of {self._name} in stack {args.stack}"
                    ),
                    readers=client.secret_readers,
                    administrators=args.administrators,
                    tags=args.tags,
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for name, client in args.clients.items()
        }

    def _machines(
        self, firewall: GatewayFirewall, listener: MutualTlsListener, document: PublishedGatewayDocument
    ) -> GatewayMachines:
        args = self._args
        return GatewayMachines(
            f"{self._name}-machines",
            GatewayMachinesArgs(
                account=args.account,
                subnets=args.network.private_subnets,
                security_group=firewall.targets_id,
                target_group_arn=listener.target_group_arn,
                artifact=args.artifact,
                launcher=args.launcher,
                application=args.application,
                pointer_name=pointer_name(args.stack, self._name),
                pointer_arn=document.pointer_arn,
                document_arn=document.object_arn,
                connects={
                    role: args.database.connect_arn(role)
                    for role in sorted({client.role for client in args.clients.values()})
                },
                instance_type=args.instance_type,
                architecture=args.architecture,
                image=args.image,
                minimum_size=args.minimum_size,
                maximum_size=args.maximum_size,
                port=TARGET_PORT,
                metrics_port=METRICS_PORT,
                log_group_name=stack_path(args.stack, self._name, "gateway"),
                log_retention_days=args.log_retention_days,
                writers=args.administrators,
                # A target group that no listener forwards to has no healthy machine.
                serve_after=[args.network, firewall, listener, document],
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def pointer_name(stack: str, name: str) -> str:
    """Name of the SSM parameter that names a gateway's document."""
    return stack_path(stack, name, "document")


def gateway_url(domain_name: str, port: int) -> str:
    """Address of a gateway, without a final slash."""
    return f"https://{domain_name}" if port == _HTTPS else f"https://{domain_name}:{port}"


def launcher_source(root: Path = PROJECT) -> str:
    """Text of the program that fetches the artifact on a machine."""
    return (root / "gateway/launcher.py").read_text(encoding="utf-8")
