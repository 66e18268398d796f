"""The application tier: a load balancer with mutual TLS, the gateway behind it, and RDS by IAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import pulumi
from pulumi_aws import route53

from artifacts.gateway import GatewayArtifact
from components.account import Account
from components.connections import GatewayClientEntry, gateway_entry
from components.gateway.alarms import GatewayAlarms, GatewayAlarmsArgs
from components.gateway.client_authority import (
    ClientAuthority,
    ClientRevocation,
    ClientRevocationArgs,
    ClientTrust,
)
from components.gateway.document import publish_gateway_document
from components.gateway.header_suffixes import HeaderSuffixes, HeaderSuffixesArgs
from components.gateway.listener import MutualTlsListener, MutualTlsListenerArgs
from components.gateway.machines import GatewayMachines, GatewayMachinesArgs
from components.gateway.reports import GatewayReports, GatewayReportsArgs
from components.gateway.security_groups import GatewaySecurityGroups, GatewaySecurityGroupsArgs
from components.gateway.server_certificate import ServerCertificate, ServerCertificateArgs
from components.gateway.trust_store import TrustStore, TrustStoreArgs
from components.names import slug, stack_path
from components.network import Network, for_load_balancer
from components.pki.certificates import AlternativeName
from components.pki.identity import Identity, IdentityArgs
from components.pki.secrets_key import SecretsKey
from components.published_document import PublishedDocument
from components.rds.instance import RdsPostgres
from settings import Gateway, GatewayClient

TARGET_PORT = 8443
METRICS_PORT = 9464

_HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class MutualTlsGatewayArgs:
    """Arguments of `MutualTlsGateway`.

    Attributes:
        stack: Name of the stack.
        account: Account and region that it is deployed to.
        network: The network, with private subnets in two zones at least.
        database: The RDS instance behind it.
        administrators: ARNs of the roles and users that may write what it is made of and manage its
            clients' secrets; whoever runs `pulumi up` must be among them.
        secrets_key: Encrypts secrets that other accounts read; None where there are none.
        settings: The section `gateway`.
        server_ca_pem: What clients trust for it; None where its authority is a public one.
        authority: Signs the clients; or what is trusted of an authority whose clients have certificates.
        artifact: The program of its machines.
        launcher: The program that fetches it, see `artifacts.sources.launcher_sources`.
        tags: Tags of every child.
    """

    stack: str
    account: Account
    network: Network
    database: RdsPostgres
    administrators: Sequence[str]
    settings: Gateway
    secrets_key: SecretsKey | None = None
    server_ca_pem: str | None = None
    authority: ClientAuthority | ClientTrust
    artifact: GatewayArtifact
    launcher: Mapping[str, str] = field(repr=False)
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class MutualTlsGatewayResources:
    """Children of `MutualTlsGateway`; `clients` by name, none where somebody else signs them.

    There is a `certificate` only where none was given, and a `record` only with a zone.
    """

    header_suffixes: HeaderSuffixes
    trust_store: TrustStore
    certificate: ServerCertificate | None
    security_groups: GatewaySecurityGroups
    listener: MutualTlsListener
    record: route53.Record | None
    clients: dict[str, Identity]
    document: PublishedDocument
    machines: GatewayMachines
    reports: GatewayReports
    alarms: GatewayAlarms


class MutualTlsGateway(pulumi.ComponentResource):
    """`passwordless-postgres:index:MutualTlsGateway`: client certificate in, RDS by IAM out.

    Makes the `HeaderSuffixes`, a `TrustStore`, a `ServerCertificate` where none is given, a
    `GatewaySecurityGroups`, a `MutualTlsListener`, an alias record, an `Identity` per client of our own
    authority, the `PublishedDocument`, `GatewayMachines` and `GatewayAlarms`, and waits
    for the `GatewayReports` of the machines.

    Attributes:
        url: Its address, without a final slash; known once its machines serve its document.
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
            HeaderSuffixesArgs(generations=args.settings.header_suffixes),
            opts=pulumi.ResourceOptions(parent=self),
        )
        clients = self._clients()
        trust = self._trust(clients)
        trust_store = TrustStore(
            f"{name}-clients",
            TrustStoreArgs(
                bundle_pem=trust.bundle_pem,
                revocation_lists=trust.revocation_lists,
                writers=args.administrators,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        certificate = self._certificate()
        security_groups = GatewaySecurityGroups(
            f"{name}-firewall",
            GatewaySecurityGroupsArgs(
                vpc_id=args.network.vpc_id,
                settings=args.settings,
                target_port=TARGET_PORT,
                database_security_group=args.database.security_group_id,
                database_port=args.database.port,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        document = self._document(suffixes, trust_store)
        listener = self._listener(suffixes, trust_store, certificate, security_groups, document)
        record = self._record(listener)
        machines = self._machines(security_groups, listener, document)
        serial = document.resources.serial
        assert serial is not None  # noqa: S101 - the gateway's document has one
        reports = GatewayReports(
            f"{name}-reports",
            GatewayReportsArgs(
                region=args.account.region,
                account_id=args.account.account_id,
                group=machines.resources.group.name,
                bucket=machines.reports_bucket,
                prefix=machines.reports_prefix,
                gateway=name,
                serial=serial.serial,
                sha256=document.sha256,
                deadline_seconds=args.settings.report_deadline_seconds,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[machines, document]),
        )
        alarms = GatewayAlarms(
            f"{name}-alarms",
            GatewayAlarmsArgs(
                load_balancer=listener.arn_suffix,
                target_group=listener.target_group_arn_suffix,
                gateway=stack_path(args.stack, name),
                serial=serial.serial,
                topics=args.settings.alarm_topics,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = MutualTlsGatewayResources(
            header_suffixes=suffixes,
            trust_store=trust_store,
            certificate=certificate,
            security_groups=security_groups,
            listener=listener,
            record=record,
            clients=clients,
            document=document,
            machines=machines,
            reports=reports,
            alarms=alarms,
        )
        self.url = reports.applied(gateway_url(args.settings.domain_name, args.settings.port))
        self.connection = gateway_entry(
            url=self.url,
            document={"serial": serial.serial, "sha256": document.sha256},
            server_ca_pem=args.server_ca_pem,
            clients={
                each: GatewayClientEntry(
                    role=client.role,
                    common_name=client.common_name,
                    secret_arn=clients[each].secret_arn if each in clients else None,
                    certificate_not_after=clients[each].not_after if each in clients else None,
                )
                for each, client in args.settings.clients.items()
            },
        )
        self.register_outputs({"url": self.url, "connection": self.connection})

    def _trust(self, clients: Mapping[str, Identity]) -> ClientTrust:
        """What is trusted; a client's certificate is revoked once its name or its identity changes."""
        args = self._args
        if isinstance(args.authority, ClientTrust):
            return args.authority
        issued: dict[str, pulumi.Input[str]] = {}
        for name, client in args.settings.clients.items():
            kind, value = client.identity
            issued[f"{name}, {kind} {value}"] = clients[name].resources.certificate.certificate_pem
        return ClientRevocation(
            f"{self._name}-authority",
            ClientRevocationArgs(
                authority=args.authority,
                settings=args.settings.client_authority,
                revoked=args.settings.revoked,
                issued=issued,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        ).trust

    def _certificate(self) -> ServerCertificate | None:
        args = self._args
        if args.settings.certificate_arn is not None or args.settings.hosted_zone_id is None:
            return None
        return ServerCertificate(
            f"{self._name}-server",
            ServerCertificateArgs(
                domain_name=args.settings.domain_name, zone_id=args.settings.hosted_zone_id, tags=args.tags
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _document(self, suffixes: HeaderSuffixes, trust_store: TrustStore) -> PublishedDocument:
        args = self._args
        return publish_gateway_document(
            f"{self._name}-document",
            database=args.database.connection,
            client_authorities=trust_store.bundle_pem,
            revocation_lists=trust_store.revocation_lists,
            header_suffixes=suffixes.accepted,
            clients=list(args.settings.clients.values()),
            writers=args.administrators,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _listener(
        self,
        suffixes: HeaderSuffixes,
        trust_store: TrustStore,
        certificate: ServerCertificate | None,
        security_groups: GatewaySecurityGroups,
        document: PublishedDocument,
    ) -> MutualTlsListener:
        args = self._args
        subnets = args.network.private_subnets if args.settings.internal else args.network.public_subnets
        certificate_arn = certificate.arn if certificate is not None else args.settings.certificate_arn
        assert certificate_arn is not None  # noqa: S101 - one of the two, or the arguments were refused
        return MutualTlsListener(
            f"{self._name}-lb",
            MutualTlsListenerArgs(
                account=args.account,
                vpc_id=args.network.vpc_id,
                subnets=for_load_balancer(subnets),
                security_group=security_groups.load_balancer_id,
                settings=args.settings,
                target_port=TARGET_PORT,
                certificate_arn=certificate_arn,
                trust_store_arn=trust_store.arn,
                header_suffix=suffixes.listener,
                # One that faces the internet is refused in a VPC without an internet gateway.
                reached_by=[] if args.settings.internal else [args.network],
                # Gateways must accept a suffix before the listener uses it.
                serve_after=[args.network, trust_store, document],
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _record(self, listener: MutualTlsListener) -> route53.Record | None:
        args = self._args
        if args.settings.hosted_zone_id is None:
            return None
        return route53.Record(
            f"{self._name}-host",
            zone_id=args.settings.hosted_zone_id,
            name=args.settings.domain_name,
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
        if isinstance(args.authority, ClientTrust):
            return {}
        return {
            name: Identity(
                f"{self._name}-client-{slug(name)}",
                IdentityArgs(
                    issuer=args.authority.issuer,
                    purpose="client",
                    common_name=client.common_name or name,
                    alternative_name=_alternative_name(client),
                    revision=client.revision,
                    description=(
                        f"Certificate and key of {name}, a client of {self._name} in stack {args.stack}"
                    ),
                    readers=client.secret_readers,
                    administrators=args.administrators,
                    key_arn=args.secrets_key.of(client.secret_readers) if args.secrets_key else None,
                    tags=args.tags,
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for name, client in args.settings.clients.items()
        }

    def _machines(
        self,
        security_groups: GatewaySecurityGroups,
        listener: MutualTlsListener,
        document: PublishedDocument,
    ) -> GatewayMachines:
        args = self._args
        return GatewayMachines(
            f"{self._name}-machines",
            GatewayMachinesArgs(
                account=args.account,
                subnets=args.network.private_subnets,
                security_group=security_groups.targets_id,
                target_group_arn=listener.target_group_arn,
                artifact=args.artifact,
                launcher=args.launcher,
                settings=args.settings,
                gateway=stack_path(args.stack, self._name),
                document_bucket=document.bucket_id,
                document_arn=document.object_arn,
                connects={
                    role: args.database.connect_arn(role)
                    for role in sorted({client.role for client in args.settings.clients.values()})
                },
                port=TARGET_PORT,
                metrics_port=METRICS_PORT,
                log_group_name=stack_path(args.stack, self._name, "gateway"),
                writers=args.administrators,
                # Machines of a target group are not healthy before a listener forwards to it.
                serve_after=[args.network, security_groups, listener, document],
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _alternative_name(client: GatewayClient) -> AlternativeName | None:
    kind, value = client.identity
    return None if kind == "commonName" else AlternativeName(kind=kind, value=value)


def gateway_url(domain_name: str, port: int) -> str:
    """Address of a gateway, without a final slash."""
    return f"https://{domain_name}" if port == _HTTPS else f"https://{domain_name}:{port}"
