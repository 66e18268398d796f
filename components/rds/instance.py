"""RDS for PostgreSQL that forces TLS, with one IAM identity per role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import pulumi
from pulumi_aws import cloudwatch, iam, kms, rds

from components import iam_documents
from components.account import Account
from components.connections import IamRole, iam_database
from components.names import slug
from components.network import Network
from components.rds.alarms import RdsAlarms, RdsAlarmsArgs
from components.rds.choices import (
    Backup,
    CaIdentifier,
    Executor,
    NewIamRole,
    Storage,
    instance_identifier,
    master_secret_arn,
)
from components.rds.roles_function import RolesFunction, RolesFunctionArgs
from components.self_managed.security_group import ServerFirewall, ServerFirewallArgs
from pgpasswordless.connections import Protocol
from postgres import rds_parameters
from postgres.access import MAINTENANCE_DATABASE
from postgres.declaration import Declaration

EXPORTED_LOGS = ("iam-db-auth-error", "postgresql", "upgrade")
INSIGHTS_RETENTION_DAYS = 7
_KEY_DELETION_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class RdsPostgresArgs:
    """Arguments of `RdsPostgres`.

    Attributes:
        stack: Name of the stack.
        account: Where it is.
        network: The network, with private subnets in two zones at least.
        administrators: ARNs of the roles and users that may write what the roles function runs;
            whoever runs `pulumi up` must be among them.
        major: Major release of PostgreSQL; RDS chooses the minor one.
        instance_class: Instance class, with 2 GiB of memory at least.
        multi_az: Whether there is a standby in another zone.
        storage: The storage.
        port: TCP port.
        minimum_protocol: Lowest TLS version.
        ca_identifier: Authority that signs the server's certificate.
        server_ca_pem: What clients trust for this server.
        allowed_networks: Networks that reach the port.
        allowed_security_groups: Security groups that reach the port.
        iam_authentication: Whether roles log in by IAM; without it nobody but the master does.
        master: Name of the master user, which only the roles function uses.
        declaration: Administrator, databases, roles and grants.
        executor: Who brings databases and roles about: a function in the VPC, or pulumi-postgresql. The
            function makes the administrator either way.
        parameters: Further parameters of the group, written as in postgresql.conf.
        backup: Automated backups.
        maintenance_window: Weekly window in UTC.
        apply_immediately: Change the instance at once instead of in that window.
        deletion_protection: Refuse to delete the instance; keep its KMS key and backups when it goes.
        monitoring_interval_seconds: How often enhanced monitoring measures.
        alarm_topics: ARNs of SNS topics for alarms and events.
        log_retention_days: How long CloudWatch keeps the logs.
        tags: Tags of every child.

    Raises:
        ValueError: There are roles and no IAM authentication, the administrator is the master, or a
            parameter is not to be set.
    """

    stack: str
    account: Account
    network: Network
    administrators: Sequence[str]
    major: int
    instance_class: str
    multi_az: bool = True
    storage: Storage = field(default_factory=Storage)
    port: int = 5432
    minimum_protocol: Protocol = "TLSv1.3"
    ca_identifier: CaIdentifier = "rds-ca-rsa2048-g1"
    server_ca_pem: pulumi.Input[str]
    allowed_networks: Sequence[str] = ()
    allowed_security_groups: Sequence[str] = ()
    iam_authentication: bool = True
    master: str = "pgpl_master"
    declaration: Declaration
    executor: Executor = "function"
    parameters: dict[str, str] = field(default_factory=dict)
    backup: Backup = field(default_factory=Backup)
    maintenance_window: str = "sun:03:30-sun:04:30"
    apply_immediately: bool = False
    deletion_protection: bool = True
    monitoring_interval_seconds: int = 60
    alarm_topics: Sequence[str] = ()
    log_retention_days: int = 90
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        roles = [role.name for role in self.declaration.roles]
        if roles and not self.iam_authentication:
            raise ValueError(
                f"iam_authentication: False, so nobody could log in as {', '.join(roles)}; set it to True, "
                "or declare no roles"
            )
        if self.master in (self.declaration.administrator, *roles):
            raise ValueError(
                f"master: {self.master!r} is also declared, and an IAM login would lock the master out of "
                "its password; rename one"
            )
        rds_parameters.group_parameters(self.major, self.minimum_protocol, self.parameters)


@dataclass(frozen=True, kw_only=True)
class Connector:
    """Who may log in as a database role: the policy, and the IAM role where one was made for it."""

    policy: iam.RolePolicy
    new_role: iam.Role | None


@final
@dataclass(frozen=True, kw_only=True)
class RdsPostgresResources:
    """Children of `RdsPostgres`; `log_groups` by log.

    There is a `key` only where none was given, and a `roles_function` only with IAM authentication.
    """

    key: kms.Key | None
    firewall: ServerFirewall
    subnet_group: rds.SubnetGroup
    parameter_group: rds.ParameterGroup
    log_groups: dict[str, cloudwatch.LogGroup]
    monitoring_role: iam.Role
    instance: rds.Instance
    alarms: RdsAlarms
    roles_function: RolesFunction | None


class RdsPostgres(pulumi.ComponentResource):
    """`passwordless-postgres:index:RdsPostgres`: one RDS instance that nobody reaches without TLS and IAM.

    Makes a `kms.Key`, a `ServerFirewall`, subnet and parameter group, log groups, the role of enhanced
    monitoring, the `rds.Instance` with a master password that RDS keeps and rotates itself, `RdsAlarms`
    and the `RolesFunction`. Read replicas and RDS Proxy would be siblings that take `instance` from
    `resources`: each has a resource id of its own, and with it connect policies of its own.

    Attributes:
        host: Name of the server; known once the roles are there.
        resource_id: `DbiResourceId`, the part of `rds-db:connect` ARNs that names the instance.
        port: TCP port.
        security_group_id: Its security group, for rules of further clients.
        connection: Its entry in the connections document, without secrets; known once the roles are there.
        resources: The children.
    """

    host: pulumi.Output[str]
    resource_id: pulumi.Output[str]
    port: int
    security_group_id: pulumi.Output[str]
    connection: pulumi.Output[dict[str, Any]]
    resources: RdsPostgresResources

    def __init__(self, name: str, args: RdsPostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the instance."""
        super().__init__("passwordless-postgres:index:RdsPostgres", name, {}, opts)
        self._name, self._args = name, args
        self._identifier = instance_identifier(args.stack, name)
        firewall = ServerFirewall(
            f"{name}-server",
            ServerFirewallArgs(
                vpc_id=args.network.vpc_id,
                port=args.port,
                networks=args.allowed_networks,
                security_groups=args.allowed_security_groups,
                outgoing={},
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        subnet_group = rds.SubnetGroup(
            f"{name}-subnets",
            description=f"Private subnets of {name}",
            subnet_ids=[subnet.id for subnet in args.network.private_subnets],
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        key = self._key()
        key_arn = key.arn if key is not None else args.storage.kms_key_arn
        parameter_group = self._parameter_group()
        log_groups = self._log_groups()
        monitoring_role, monitoring_policy = self._monitoring_role()
        instance = self._instance(
            key_arn=key_arn,
            firewall=firewall,
            subnet_group=subnet_group,
            parameter_group=parameter_group,
            monitoring_role=monitoring_role,
            needs=[*log_groups.values(), monitoring_policy],
        )
        alarms = RdsAlarms(
            f"{name}-alarms",
            RdsAlarmsArgs(
                identifier=self._identifier,
                instance_id=instance.identifier,
                parameter_group=parameter_group.name,
                topics=args.alarm_topics,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resource_id = instance.resource_id
        self.port = args.port
        self.security_group_id = firewall.id
        roles_function = (
            self._roles_function(firewall, instance, key_arn) if args.iam_authentication else None
        )
        self.resources = RdsPostgresResources(
            key=key,
            firewall=firewall,
            subnet_group=subnet_group,
            parameter_group=parameter_group,
            log_groups=log_groups,
            monitoring_role=monitoring_role,
            instance=instance,
            alarms=alarms,
            roles_function=roles_function,
        )
        served = instance.address if roles_function is None else roles_function.applied(instance.address)
        self.host = pulumi.Output.from_input(served)
        self.connection = self._connection()
        self.register_outputs({"host": self.host, "resourceId": self.resource_id})

    def connect_arn(self, database_role: str) -> pulumi.Output[str]:
        """The `rds-db:connect` resource of one role on this instance."""
        account = self._args.account
        return pulumi.Output.all(
            partition=account.partition,
            region=account.region,
            account_id=account.account_id,
            resource_id=self.resource_id,
            user=database_role,
        ).apply(lambda values: iam_documents.connect_arn(**values))

    def allow_connect(self, role: str | NewIamRole, database_role: str) -> Connector:
        """Let an IAM role log in as one database role, and as no other, on this instance only.

        Args:
            role: Name of an existing IAM role of the account, or one to be made.
            database_role: A declared role.

        Raises:
            ValueError: IAM authentication is off, the database role is not declared, or a new role would
                trust nobody.
        """
        declared = [each.name for each in self._args.declaration.roles]
        if not self._args.iam_authentication:
            raise ValueError(
                f"{self._name}: IAM authentication is off, so rds-db:connect would allow nothing; set "
                "iam_authentication=True"
            )
        if database_role not in declared:
            raise ValueError(
                f"{self._name}: no database role {database_role!r} is declared; there are "
                f"{', '.join(declared) or 'none'}. A policy for another name would allow nothing now, and "
                "whoever makes that role later would open a way in"
            )
        new_role = None
        suffix = slug(database_role)
        if isinstance(role, NewIamRole):
            if not (role.trusted_services or role.trusted_principals):
                raise ValueError(f"{self._name}: the new IAM role for {database_role!r} would trust nobody")
            new_role = iam.Role(
                f"{self._name}-application-{suffix}",
                description=f"Logs in to {self._name} in stack {self._args.stack} as {database_role}",
                assume_role_policy=iam_documents.application_trust(
                    role.trusted_services, role.trusted_principals
                ),
                tags=self._args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            role_name, child = new_role.name, f"{self._name}-connect-{suffix}"
        else:
            role_name, child = role, f"{self._name}-connect-{suffix}-{slug(role)}"
        policy = iam.RolePolicy(
            child,
            role=role_name,
            policy=self.connect_arn(database_role).apply(iam_documents.connect),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return Connector(policy=policy, new_role=new_role)

    def _key(self) -> kms.Key | None:
        args = self._args
        if args.storage.kms_key_arn is not None:
            return None
        return kms.Key(
            f"{self._name}-key",
            description=f"Storage, backups and master secret of {self._identifier}",
            enable_key_rotation=True,
            deletion_window_in_days=_KEY_DELETION_DAYS,
            tags=args.tags,
            # Snapshots outlive the instance, and nothing reads them without the key.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.deletion_protection),
        )

    def _parameter_group(self) -> rds.ParameterGroup:
        args = self._args
        return rds.ParameterGroup(
            f"{self._name}-parameters",
            family=rds_parameters.family(args.major),
            description=f"TLS, SCRAM and logging of {self._identifier}",
            parameters=[
                rds.ParameterGroupParameterArgs(
                    name=parameter.name, value=parameter.value, apply_method=parameter.apply_method
                )
                for parameter in rds_parameters.group_parameters(
                    args.major, args.minimum_protocol, args.parameters
                )
            ],
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _log_groups(self) -> dict[str, cloudwatch.LogGroup]:
        # Made before the instance: groups that RDS makes by itself keep everything for ever.
        return {
            log: cloudwatch.LogGroup(
                f"{self._name}-log-{log}",
                name=f"/aws/rds/instance/{self._identifier}/{log}",
                retention_in_days=self._args.log_retention_days,
                tags=self._args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for log in EXPORTED_LOGS
        }

    def _monitoring_role(self) -> tuple[iam.Role, iam.RolePolicy]:
        account = self._args.account
        place = {"partition": account.partition, "region": account.region, "account_id": account.account_id}
        role = iam.Role(
            f"{self._name}-monitoring",
            description=f"Enhanced monitoring of {self._identifier}",
            assume_role_policy=pulumi.Output.all(**place).apply(
                lambda values: iam_documents.enhanced_monitoring_trust(**values, identifier=self._identifier)
            ),
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        policy = iam.RolePolicy(
            f"{self._name}-monitoring",
            role=role.id,
            policy=pulumi.Output.all(**place).apply(
                lambda values: iam_documents.enhanced_monitoring(**values)
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return role, policy

    def _instance(
        self,
        *,
        key_arn: pulumi.Input[str] | None,
        firewall: ServerFirewall,
        subnet_group: rds.SubnetGroup,
        parameter_group: rds.ParameterGroup,
        monitoring_role: iam.Role,
        needs: Sequence[pulumi.Resource],
    ) -> rds.Instance:
        args = self._args
        return rds.Instance(
            f"{self._name}-instance",
            identifier=self._identifier,
            engine="postgres",
            engine_version=str(args.major),
            auto_minor_version_upgrade=True,
            allow_major_version_upgrade=False,
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            instance_class=args.instance_class,
            multi_az=args.multi_az,
            storage_type="gp3",
            allocated_storage=args.storage.size_gib,
            max_allocated_storage=args.storage.maximum_size_gib,
            iops=args.storage.iops,
            storage_throughput=args.storage.throughput_mibps,
            storage_encrypted=True,
            kms_key_id=key_arn,
            db_subnet_group_name=subnet_group.name,
            vpc_security_group_ids=[firewall.id],
            publicly_accessible=False,
            port=args.port,
            username=args.master,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key_arn,
            iam_database_authentication_enabled=args.iam_authentication,
            ca_cert_identifier=args.ca_identifier,
            parameter_group_name=parameter_group.name,
            enabled_cloudwatch_logs_exports=list(EXPORTED_LOGS),
            monitoring_interval=args.monitoring_interval_seconds,
            monitoring_role_arn=monitoring_role.arn,
            database_insights_mode="standard",
            performance_insights_enabled=True,
            performance_insights_retention_period=INSIGHTS_RETENTION_DAYS,
            performance_insights_kms_key_id=key_arn,
            backup_retention_period=args.backup.retention_days,
            backup_window=args.backup.window,
            maintenance_window=args.maintenance_window,
            copy_tags_to_snapshot=True,
            delete_automated_backups=not args.deletion_protection,
            deletion_protection=args.deletion_protection,
            skip_final_snapshot=not args.backup.final_snapshot,
            final_snapshot_identifier=f"{self._identifier}-final" if args.backup.final_snapshot else None,
            apply_immediately=args.apply_immediately,
            tags={**args.tags, "Name": self._identifier},
            opts=pulumi.ResourceOptions(
                parent=self, protect=args.deletion_protection, depends_on=list(needs)
            ),
        )

    def _roles_function(
        self, firewall: ServerFirewall, instance: rds.Instance, key_arn: pulumi.Input[str] | None
    ) -> RolesFunction:
        args = self._args
        return RolesFunction(
            f"{self._name}-roles",
            RolesFunctionArgs(
                stack=args.stack,
                account=args.account,
                vpc_id=args.network.vpc_id,
                subnets=args.network.private_subnets,
                server_security_group=firewall.id,
                port=args.port,
                host=instance.address,
                major=args.major,
                region=args.account.region,
                resource_id=instance.resource_id,
                master_secret_arn=instance.master_user_secrets.apply(master_secret_arn),
                master_secret_key_arn=key_arn,
                administrator=args.declaration.administrator,
                server_ca_pem=args.server_ca_pem,
                declaration=args.declaration if args.executor == "function" else None,
                administrators=args.administrators,
                log_retention_days=args.log_retention_days,
                serve_after=[args.network],
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _connection(self) -> pulumi.Output[dict[str, Any]]:
        args = self._args
        return iam_database(
            host=self.host,
            port=args.port,
            database=(
                args.declaration.databases[0].name if args.declaration.databases else MAINTENANCE_DATABASE
            ),
            server_ca_pem=args.server_ca_pem,
            minimum_protocol=args.minimum_protocol,
            region=args.account.region,
            resource_id=self.resource_id,
            roles={
                role.name: IamRole(
                    database=role.databases[0],
                    connect_arn=self.connect_arn(role.name),
                    connection_limit=role.connection_limit,
                )
                for role in args.declaration.roles
            },
        )
