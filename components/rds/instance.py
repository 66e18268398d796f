"""RDS for PostgreSQL that forces TLS, with one IAM identity per role."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import pulumi
from pulumi_aws import cloudwatch, iam, kms, rds

from components import iam_documents
from components.account import Account
from components.connections import IamRole, iam_database
from components.names import description_of, digest_of, fitted, resource_name, slug
from components.network import Network, for_database
from components.rds.alarms import RdsAlarms, RdsAlarmsArgs
from components.rds.roles_function import RolesFunction, RolesFunctionArgs
from components.security_group import ServerSecurityGroup, ServerSecurityGroupArgs
from postgres import rds_parameters
from postgres.identifiers import MAINTENANCE_DATABASE
from settings.quotas import INSTANCE_IDENTIFIER, POLICY_NAME, ROLE_NAME
from settings.rds import MASTER, NewIamRole, Rds

EXPORTED_LOGS = ("iam-db-auth-error", "postgresql", "upgrade")
INSIGHTS_RETENTION_DAYS = 7
_KEY_DELETION_DAYS = 30
_SNAPSHOT_DIGEST_CHARACTERS = 8
_IDENTIFIER_PART = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class RdsPostgresArgs:
    """Arguments of `RdsPostgres`.

    Attributes:
        stack: Name of the stack.
        account: Account and region that it is deployed to.
        network: The network, with private subnets in two zones at least.
        administrators: ARNs of the roles and users that may write what the roles function runs;
            whoever runs `pulumi up` must be among them.
        settings: The section `rds`.
        server_ca_pem: What clients trust for this server.
        tags: Tags of every child.

    Raises:
        ValueError: A parameter is not to be set.
    """

    stack: str
    account: Account
    network: Network
    administrators: Sequence[str]
    settings: Rds
    server_ca_pem: pulumi.Input[str]
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        _ = self.settings.group_parameters


@dataclass(frozen=True, kw_only=True)
class Connector:
    """Who may log in as a database role: the policy, and the IAM role where one was made for it."""

    policy: iam.RolePolicy
    new_role: iam.Role | None


@final
@dataclass(frozen=True, kw_only=True)
class RdsPostgresResources:
    """Children of `RdsPostgres`; `log_groups` by log.

    There is a `key` only where none was given.
    """

    key: kms.Key | None
    security_group: ServerSecurityGroup
    subnet_group: rds.SubnetGroup
    parameter_group: rds.ParameterGroup
    log_groups: dict[str, cloudwatch.LogGroup]
    monitoring_role: iam.Role
    instance: rds.Instance
    alarms: RdsAlarms
    roles_function: RolesFunction


class RdsPostgres(pulumi.ComponentResource):
    """`passwordless-postgres:index:RdsPostgres`: one RDS instance that nobody reaches without TLS and IAM.

    Makes a `kms.Key`, a `ServerSecurityGroup`, subnet and parameter group, log groups, the role of enhanced
    monitoring, the `rds.Instance` with a master password that RDS keeps and rotates itself, `RdsAlarms`
    and the `RolesFunction`. Read replicas and RDS Proxy would be siblings that take `instance` from
    `resources`: each has a resource id of its own, and with it connect policies of its own.

    Attributes:
        host: Name of the server; known once the roles are there.
        resource_id: `DbiResourceId`, the part of `rds-db:connect` ARNs that names the instance.
        port: TCP port.
        security_group_id: Its security group, for rules of further clients.
        connection: Its entry in the connections document, without secrets; known once the roles are there.
        application_roles: ARN of each IAM role that was made for an application, by database role.
        resources: The children.
    """

    host: pulumi.Output[str]
    resource_id: pulumi.Output[str]
    port: int
    security_group_id: pulumi.Output[str]
    connection: pulumi.Output[dict[str, Any]]
    application_roles: dict[str, pulumi.Output[str]]
    resources: RdsPostgresResources

    def __init__(self, name: str, args: RdsPostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the instance."""
        super().__init__("passwordless-postgres:index:RdsPostgres", name, {}, opts)
        self._name, self._args = name, args
        self._identifier = args.settings.identifier or instance_identifier(args.stack, name)
        self._connectors: dict[str, tuple[str, str]] = {}
        security_group = ServerSecurityGroup(
            f"{name}-server",
            ServerSecurityGroupArgs(
                vpc_id=args.network.vpc_id,
                port=args.settings.port,
                clients=args.settings.allowed_clients,
                outgoing={},
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        subnet_group = rds.SubnetGroup(
            f"{name}-subnets",
            description=f"Private subnets of {name}",
            subnet_ids=for_database(args.network.private_subnets),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        key = self._key()
        key_arn = key.arn if key is not None else args.settings.storage.kms_key_arn
        parameter_group = self._parameter_group()
        log_groups = self._log_groups()
        monitoring_role, monitoring_policy = self._monitoring_role()
        instance = self._instance(
            key_arn=key_arn,
            security_group=security_group,
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
                topics=args.settings.alarm_topics,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resource_id = instance.resource_id
        self.port = args.settings.port
        self.security_group_id = security_group.id
        roles_function = self._roles_function(security_group, instance, key_arn)
        self.resources = RdsPostgresResources(
            key=key,
            security_group=security_group,
            subnet_group=subnet_group,
            parameter_group=parameter_group,
            log_groups=log_groups,
            monitoring_role=monitoring_role,
            instance=instance,
            alarms=alarms,
            roles_function=roles_function,
        )
        self.host = roles_function.applied(instance.address)
        self.connection = self._connection()
        self.application_roles = self._application_roles()
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
            ValueError: The database role is not declared, or a new role would trust nobody.
        """
        declared = self._args.settings.roles
        if database_role not in declared:
            raise ValueError(
                f"{self._name}: no database role {database_role!r} is declared; there are "
                f"{', '.join(declared) or 'none'}. A policy for another name would allow nothing now, and "
                "whoever makes that role later would open a way in"
            )
        new_role = None
        suffix = slug(database_role)
        if isinstance(role, NewIamRole):
            if not role.trusts_somebody:
                raise ValueError(f"{self._name}: the new IAM role for {database_role!r} would trust nobody")
            new_role = iam.Role(
                resource_name(f"{self._name}-application-{suffix}", ROLE_NAME),
                description=(
                    f"Logs in to {self._name} in stack {self._args.stack} as {description_of(database_role)}"
                ),
                assume_role_policy=iam_documents.application_trust(
                    role.trusted_services, role.trusted_principals, role.service_accounts
                ),
                tags=self._args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            role_name, child = new_role.name, f"{self._name}-connect-{suffix}"
        else:
            role_name, child = role, f"{self._name}-connect-{suffix}-{slug(role)}"
        pair = (database_role, "" if new_role is not None else str(role))
        if self._connectors.setdefault(child, pair) != pair:
            # Such as `a-b` by the IAM role `c` after `a` by the IAM role `b-c`.
            child = f"{child}-{digest_of('/'.join(pair))}"
        policy = iam.RolePolicy(
            resource_name(child, POLICY_NAME),
            role=role_name,
            policy=self.connect_arn(database_role).apply(iam_documents.connect),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return Connector(policy=policy, new_role=new_role)

    def _application_roles(self) -> dict[str, pulumi.Output[str]]:
        """Let the IAM roles of the settings log in; returns those that were made for it."""
        made: dict[str, pulumi.Output[str]] = {}
        for name, role in self._args.settings.roles.items():
            for iam_role in role.iam_roles:
                self.allow_connect(iam_role, name)
            if role.new_iam_role is not None:
                connector = self.allow_connect(role.new_iam_role, name)
                if connector.new_role is not None:
                    made[name] = connector.new_role.arn
        return made

    def _key(self) -> kms.Key | None:
        args = self._args
        if args.settings.storage.kms_key_arn is not None:
            return None
        return kms.Key(
            f"{self._name}-key",
            description=f"Storage, backups and master secret of {self._identifier}",
            enable_key_rotation=True,
            deletion_window_in_days=_KEY_DELETION_DAYS,
            tags=args.tags,
            # Snapshots outlive the instance, and they cannot be read without the key.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.settings.deletion_protection),
        )

    def _parameter_group(self) -> rds.ParameterGroup:
        args = self._args
        return rds.ParameterGroup(
            f"{self._name}-parameters",
            family=rds_parameters.family(args.settings.major),
            description=f"TLS, SCRAM and logging of {self._identifier}",
            parameters=[
                rds.ParameterGroupParameterArgs(
                    name=parameter.name, value=parameter.value, apply_method=parameter.apply_method
                )
                for parameter in args.settings.group_parameters
            ],
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _log_groups(self) -> dict[str, cloudwatch.LogGroup]:
        # Created before the instance: log groups that RDS creates keep everything for ever.
        return {
            log: cloudwatch.LogGroup(
                f"{self._name}-log-{log}",
                name=f"/aws/rds/instance/{self._identifier}/{log}",
                retention_in_days=self._args.settings.log_retention_days,
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
        security_group: ServerSecurityGroup,
        subnet_group: rds.SubnetGroup,
        parameter_group: rds.ParameterGroup,
        monitoring_role: iam.Role,
        needs: Sequence[pulumi.Resource],
    ) -> rds.Instance:
        chosen = self._args.settings
        return rds.Instance(
            f"{self._name}-instance",
            identifier=self._identifier,
            engine="postgres",
            engine_version=str(chosen.major),
            auto_minor_version_upgrade=True,
            allow_major_version_upgrade=False,
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            instance_class=chosen.instance_class,
            multi_az=chosen.multi_az,
            storage_type="gp3",
            allocated_storage=chosen.storage.size_gib,
            max_allocated_storage=chosen.storage.maximum_size_gib,
            iops=chosen.storage.iops,
            storage_throughput=chosen.storage.throughput_mibps,
            storage_encrypted=True,
            kms_key_id=key_arn,
            db_subnet_group_name=subnet_group.name,
            vpc_security_group_ids=[security_group.id],
            publicly_accessible=False,
            port=chosen.port,
            username=MASTER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key_arn,
            iam_database_authentication_enabled=True,
            ca_cert_identifier=chosen.ca_identifier,
            parameter_group_name=parameter_group.name,
            enabled_cloudwatch_logs_exports=list(EXPORTED_LOGS),
            monitoring_interval=chosen.monitoring_interval_seconds,
            monitoring_role_arn=monitoring_role.arn,
            database_insights_mode="standard",
            performance_insights_enabled=True,
            performance_insights_retention_period=INSIGHTS_RETENTION_DAYS,
            performance_insights_kms_key_id=key_arn,
            backup_retention_period=chosen.backup.retention_days,
            backup_window=chosen.backup.window,
            maintenance_window=chosen.maintenance_window,
            copy_tags_to_snapshot=True,
            delete_automated_backups=not chosen.deletion_protection,
            deletion_protection=chosen.deletion_protection,
            skip_final_snapshot=not chosen.backup.final_snapshot,
            final_snapshot_identifier=self._final_snapshot(security_group, key_arn),
            apply_immediately=chosen.apply_immediately,
            tags={**self._args.tags, "Name": self._identifier},
            opts=pulumi.ResourceOptions(
                parent=self, protect=chosen.deletion_protection, depends_on=list(needs)
            ),
        )

    def _final_snapshot(
        self, security_group: ServerSecurityGroup, key_arn: pulumi.Input[str] | None
    ) -> pulumi.Output[str] | None:
        """The name of the final snapshot, another one for each instance of the same identifier.

        Snapshots outlive their instance, and a second one of a name is refused. A stack that was destroyed
        and made again has another security group, an instance that is replaced another key.
        """
        if not self._args.settings.backup.final_snapshot:
            return None
        return pulumi.Output.all(security_group.id, key_arn).apply(
            lambda made: (
                f"{self._identifier}-final-"
                f"{hashlib.sha256(json.dumps(made).encode()).hexdigest()[:_SNAPSHOT_DIGEST_CHARACTERS]}"
            )
        )

    def _roles_function(
        self, security_group: ServerSecurityGroup, instance: rds.Instance, key_arn: pulumi.Input[str] | None
    ) -> RolesFunction:
        args = self._args
        return RolesFunction(
            f"{self._name}-roles",
            RolesFunctionArgs(
                stack=args.stack,
                account=args.account,
                vpc_id=args.network.vpc_id,
                subnets=args.network.private_subnets,
                server_security_group=security_group.id,
                settings=args.settings,
                host=instance.address,
                region=args.account.region,
                resource_id=instance.resource_id,
                master_secret_arn=instance.master_user_secrets.apply(master_secret_arn),
                master_secret_key_arn=key_arn,
                server_ca_pem=args.server_ca_pem,
                administrators=args.administrators,
                serve_after=[args.network],
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _connection(self) -> pulumi.Output[dict[str, Any]]:
        args = self._args
        return iam_database(
            host=self.host,
            port=args.settings.port,
            database=next(iter(args.settings.databases), MAINTENANCE_DATABASE),
            server_ca_pem=args.server_ca_pem,
            minimum_protocol=args.settings.minimum_protocol,
            region=args.account.region,
            resource_id=self.resource_id,
            roles={
                name: IamRole(
                    database=role.database,
                    connect_arn=self.connect_arn(name),
                    connection_limit=role.connection_limit,
                )
                for name, role in args.settings.roles.items()
            },
        )


def instance_identifier(stack: str, name: str) -> str:
    """The identifier of a stack's instance: known before it exists, since log groups are named after it.

    Lower-case letters, digits and single hyphens, at most 63 (RDS API, CreateDBInstance).
    """
    plain = re.sub(r"[^a-z0-9]+", "-", f"passwordless-postgres-{stack}-{name}".lower()).strip("-")
    return fitted(plain, INSTANCE_IDENTIFIER.limit)


def shares_identifier(stack: str) -> bool:
    """Whether the instance of another stack, which spells its name differently, has the same identifier."""
    return not _IDENTIFIER_PART.fullmatch(stack)


def master_secret_arn(secrets: Sequence[Any] | None) -> str:
    """ARN of the secret in which RDS keeps the master's password; empty while RDS has not said."""
    if not secrets:
        return ""
    first = secrets[0]
    return first["secret_arn"] if isinstance(first, dict) else first.secret_arn
