"""PostgreSQL on an EC2 instance that lets nobody in without a certificate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, final

import pulumi
from pulumi_aws import cloudwatch, iam, route53

from artifacts.node import NodeArtifact
from components import iam_documents
from components.account import Account
from components.connections import CertificateRole, certificate_database
from components.names import slug, stack_path
from components.network import Network
from components.pki.certificates import (
    AlternativeName,
    CertificateAuthority,
    LeafCertificate,
    LeafCertificateArgs,
    role_uri,
)
from components.pki.identity import Identity, IdentityArgs
from components.pki.secrets_key import SecretsKey
from components.security_group import ServerSecurityGroup, ServerSecurityGroupArgs
from components.self_managed.alarms import ServerAlarms, ServerAlarmsArgs
from components.self_managed.desired_state import (
    READABLE_KEYS,
    REPORT_KEY,
    DesiredState,
    DesiredStateArgs,
)
from components.self_managed.machine import DatabaseMachine, DatabaseMachineArgs
from components.self_managed.node_report import NodeReport, NodeReportArgs
from components.self_managed.server_files import server_files
from node.desired_state import FORMATTED_VOLUMES_KEY
from node.state import MANIFEST_KEY
from postgres.identifiers import MAINTENANCE_DATABASE
from settings import SelfManaged

_RECORD_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class SelfManagedPostgresArgs:
    """Arguments of `SelfManagedPostgres`.

    Attributes:
        stack: Name of the stack.
        account: Account and region that it is deployed to.
        network: The network; the server is in its first private subnet.
        server_authority: Signs the server.
        client_authority: Signs the roles of this server, and of no other.
        administrators: ARNs of the roles and users that may write the desired state and manage the
            identity secrets; whoever runs `pulumi up` must be among them.
        secrets_key: Encrypts secrets that other accounts read; None where there are none.
        node: The program that configures the server.
        launcher: The program that fetches `node`, see `artifacts.sources.launcher_sources`.
        settings: The section `selfManaged`.
        tags: Tags of every child.

    Raises:
        ValueError: The authorities are not for their purpose.
    """

    stack: str
    account: Account
    network: Network
    server_authority: CertificateAuthority
    client_authority: CertificateAuthority
    administrators: Sequence[str]
    secrets_key: SecretsKey | None = None
    node: NodeArtifact
    launcher: Mapping[str, str] = field(repr=False)
    settings: SelfManaged
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        for purpose, authority in (("server", self.server_authority), ("client", self.client_authority)):
            if authority.issuer.purpose != purpose:
                raise ValueError(
                    f"{purpose}_authority: its purpose is {authority.issuer.purpose!r}; must be {purpose!r}"
                )


@final
@dataclass(frozen=True, kw_only=True)
class SelfManagedPostgresResources:
    """Children of `SelfManagedPostgres`; `role_identities` by role.

    There is an `administrator_certificate` only where pulumi-postgresql logs in with it, and no `zone` where
    the record goes to an existing one.
    """

    log_group: cloudwatch.LogGroup
    server_identity: Identity
    role_identities: dict[str, Identity]
    administrator_certificate: LeafCertificate | None
    role: iam.Role
    desired_state: DesiredState
    security_group: ServerSecurityGroup
    machine: DatabaseMachine
    zone: route53.Zone | None
    record: route53.Record
    report: NodeReport
    alarms: ServerAlarms


class SelfManagedPostgres(pulumi.ComponentResource):
    """`passwordless-postgres:index:SelfManagedPostgres`: one PostgreSQL server on EC2.

    Makes an `Identity` for the server and for each role, the `DesiredState`, a `ServerSecurityGroup`, the
    machine's own IAM role, a `DatabaseMachine`, a private zone with the server's record and a log
    group, `ServerAlarms`, and waits for the `NodeReport` of the instance.

    Attributes:
        host: Name of the server; known once it serves what this deployment asks for.
        connection: Its entry in the connections document, without secrets; known at the same time.
        server_ca_pem: What clients trust for this server.
        pending_restart: Settings that wait for a restart.
        resources: The children.
    """

    host: pulumi.Output[str]
    connection: pulumi.Output[dict[str, Any]]
    server_ca_pem: pulumi.Output[str]
    pending_restart: pulumi.Output[list[str]]
    resources: SelfManagedPostgresResources

    def __init__(
        self, name: str, args: SelfManagedPostgresArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the server."""
        super().__init__("passwordless-postgres:index:SelfManagedPostgres", name, {}, opts)
        log_group_name = stack_path(args.stack, name, "postgresql")
        log_group = cloudwatch.LogGroup(
            f"{name}-log",
            name=log_group_name,
            retention_in_days=args.settings.log_retention_days,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        role = iam.Role(
            f"{name}-machine",
            description=f"The machine of the PostgreSQL server {name}",
            assume_role_policy=pulumi.Output.from_input(args.account.partition).apply(
                iam_documents.instance_trust
            ),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        server_identity = Identity(
            f"{name}-server",
            IdentityArgs(
                issuer=args.server_authority.issuer,
                purpose="server",
                common_name=args.settings.private_dns.fqdn,
                description=f"Certificate and key of the PostgreSQL server {name} in stack {args.stack}",
                readers=[role.arn],
                administrators=args.administrators,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        role_identities = self._role_identities(name, args)
        desired_state = self._desired_state(name, args, role, server_identity, role_identities)
        security_group = ServerSecurityGroup(
            f"{name}-server",
            ServerSecurityGroupArgs(
                vpc_id=args.network.vpc_id,
                port=args.settings.port,
                clients=args.settings.allowed_clients,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        policy = iam.RolePolicy(
            f"{name}-machine",
            role=role.id,
            policy=pulumi.Output.all(
                bucket=desired_state.bucket_arn,
                manifest_key=MANIFEST_KEY,
                readable=READABLE_KEYS,
                report_key=REPORT_KEY,
                formatted_volumes_key=FORMATTED_VOLUMES_KEY,
                server_identity=server_identity.secret_arn,
                log_group=log_group.arn,
            ).apply(lambda values: iam_documents.machine(**values)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        profile = iam.InstanceProfile(
            f"{name}-machine", role=role.name, tags=args.tags, opts=pulumi.ResourceOptions(parent=self)
        )
        machine = DatabaseMachine(
            f"{name}-machine",
            DatabaseMachineArgs(
                region=args.account.region,
                subnet=args.network.private_subnets[0],
                security_group=security_group.id,
                instance_profile=profile.name,
                settings=args.settings,
                launcher=args.launcher,
                bucket=desired_state.bucket_id,
                report_key=REPORT_KEY,
                log_group=log_group_name,
                boot_needs=[args.network, security_group, policy, log_group],
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        zone = None
        if args.settings.private_dns.hosted_zone_id is None:
            zone = route53.Zone(
                f"{name}-zone",
                name=args.settings.private_dns.zone,
                comment=f"Names of {name} in stack {args.stack}",
                vpcs=[route53.ZoneVpcArgs(vpc_id=args.network.vpc_id)],
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
        record = route53.Record(
            f"{name}-host",
            zone_id=zone.zone_id if zone else str(args.settings.private_dns.hosted_zone_id),
            name=args.settings.private_dns.fqdn,
            type=route53.RecordType.A,
            ttl=_RECORD_SECONDS,
            records=[machine.private_ip],
            opts=pulumi.ResourceOptions(parent=self),
        )
        report = NodeReport(
            f"{name}-report",
            NodeReportArgs(
                region=args.account.region,
                account_id=args.account.account_id,
                bucket=desired_state.bucket_id,
                key=REPORT_KEY,
                server=name,
                serial=desired_state.serial,
                manifest_sha256=desired_state.manifest_sha256,
                instance=machine.instance_id,
                deadline_seconds=args.settings.report_deadline_seconds,
                major=args.settings.major,
            ),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[machine, desired_state, server_identity, record]
            ),
        )
        alarms = ServerAlarms(
            f"{name}-alarms",
            ServerAlarmsArgs(
                server=name,
                log_group=log_group_name,
                # Half of the time in which every deployment renews them.
                certificate_days=args.server_authority.issuer.renew_before_days / 2,
                client_certificate_days=args.client_authority.issuer.renew_before_days / 2,
                topics=args.settings.alarm_topics,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = SelfManagedPostgresResources(
            log_group=log_group,
            server_identity=server_identity,
            role_identities=role_identities,
            administrator_certificate=self._administrator_certificate(name, args),
            role=role,
            desired_state=desired_state,
            security_group=security_group,
            machine=machine,
            zone=zone,
            record=record,
            report=report,
            alarms=alarms,
        )
        self.host = report.applied(args.settings.private_dns.fqdn)
        self.connection = report.applied(_connection(args, log_group_name, role_identities))
        self.server_ca_pem = args.server_authority.bundle_pem
        self.pending_restart = report.pending_restart
        self.register_outputs(
            {
                "host": self.host,
                "port": args.settings.port,
                "connection": self.connection,
                "pendingRestart": self.pending_restart,
            }
        )

    def _role_identities(self, name: str, args: SelfManagedPostgresArgs) -> dict[str, Identity]:
        return {
            role: Identity(
                f"{name}-role-{slug(role)}",
                IdentityArgs(
                    issuer=args.client_authority.issuer,
                    purpose="client",
                    common_name=login.common_name or role,
                    alternative_name=AlternativeName(
                        kind="uri", value=role_uri(args.client_authority.issuer, role)
                    ),
                    description=f"Certificate and key of role {role} on {name} in stack {args.stack}",
                    readers=login.secret_readers,
                    administrators=args.administrators,
                    key_arn=args.secrets_key.of(login.secret_readers) if args.secrets_key else None,
                    tags=args.tags,
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for role, login in args.settings.roles.items()
        }

    def _administrator_certificate(self, name: str, args: SelfManagedPostgresArgs) -> LeafCertificate | None:
        if args.settings.database_roles.through != "provider":
            return None
        return LeafCertificate(
            f"{name}-administrator",
            LeafCertificateArgs(
                issuer=args.client_authority.issuer,
                purpose="client",
                common_name=args.settings.database_roles.administrator,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _desired_state(
        self,
        name: str,
        args: SelfManagedPostgresArgs,
        role: iam.Role,
        identity: Identity,
        role_identities: Mapping[str, Identity],
    ) -> DesiredState:
        try:
            texts = server_files(args.settings)
        except ValueError as error:
            raise pulumi.RunError(f"passwordless-postgres:selfManaged: {error}") from None
        return DesiredState(
            f"{name}-state",
            DesiredStateArgs(
                server=name,
                settings=args.settings,
                files={**texts, "client-ca.crt": args.client_authority.bundle_pem},
                node=args.node,
                identity_arn=identity.secret_arn,
                identity_version=identity.secret_version,
                identity_sha256=identity.secret_sha256,
                client_certificates_not_after=_first_end(role_identities.values()),
                writers=args.administrators,
                machine_role=role.arn,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _first_end(identities: Iterable[Identity]) -> pulumi.Output[str | None]:
    ends = pulumi.Output.all(*(each.not_after for each in identities))
    return ends.apply(lambda moments: min(moments, key=datetime.fromisoformat, default=None))


def _connection(
    args: SelfManagedPostgresArgs, log_group: str, identities: Mapping[str, Identity]
) -> pulumi.Output[dict[str, Any]]:
    databases = [database.name for database in args.settings.declaration.databases]
    return certificate_database(
        host=args.settings.private_dns.fqdn,
        port=args.settings.port,
        database=databases[0] if databases else MAINTENANCE_DATABASE,
        server_ca_pem=args.server_authority.bundle_pem,
        minimum_protocol=args.settings.minimum_protocol,
        region=args.account.region,
        log_group=log_group,
        roles={
            role.name: CertificateRole(
                database=role.databases[0],
                common_name=args.settings.roles[role.name].common_name,
                secret_arn=identities[role.name].secret_arn,
                certificate_not_after=identities[role.name].not_after,
                connection_limit=role.connection_limit,
            )
            for role in args.settings.declaration.roles
        },
    )
