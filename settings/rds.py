"""The section `rds` of a stack file: RDS for PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from postgres import declaration
from settings.section import Section
from settings.server_databases import AllowedClients, Database, Grant, declared
from settings.values import (
    BackupWindow,
    BundlePath,
    DatabaseName,
    DbInstanceClass,
    DeclaredDatabaseName,
    DeclaredRoleName,
    IamRoleName,
    KmsKeyArn,
    LogRetentionDays,
    MaintenanceWindow,
    MonitoringInterval,
    PrincipalArn,
    RoleName,
    ServicePrincipal,
    SettingText,
    TopicArn,
    Truth,
    Whole,
    unique,
)

MASTER = "pgpl_master"
"""The master user of every instance: nobody logs in as it but the roles function, once."""


class RdsStorage(Section):
    """The encrypted gp3 storage of the instance."""

    size_gib: Whole = Field(default=100, ge=20, le=65536, alias="sizeGiB")
    """Size in GiB; it can grow, never shrink."""
    maximum_size_gib: Whole | None = Field(default=None, ge=22, le=65536, alias="maximumSizeGiB")
    """Size up to which RDS lets it grow by itself, at least a tenth above `sizeGiB`; absent: not at all."""
    iops: Whole | None = Field(default=None, ge=12000, le=64000)
    """Operations per second, from 400 GiB on; absent: RDS's baseline for the size."""
    throughput_mibps: Whole | None = Field(default=None, ge=500, le=4000, alias="throughputMiBps")
    """Throughput in MiB/s, from 400 GiB on; absent: RDS's baseline for the size."""
    kms_key_arn: KmsKeyArn | None = None
    """Key that encrypts storage, backups and the master's secret; absent: a key made by this stack."""


class RdsBackup(Section):
    """Automated backups."""

    retention_days: Whole = Field(default=14, ge=1, le=35)
    """How long they are kept, which is also how far point-in-time recovery reaches back."""
    window: BackupWindow = "02:00-03:00"
    """When they are made each day, in UTC, at least half an hour."""
    final_snapshot: Truth = True
    """Take a snapshot when the instance is deleted."""


class RdsDatabaseRoles(Section):
    """Who makes databases, roles and grants inside PostgreSQL."""

    through: Literal["function", "provider"] = "function"
    """`function`: a Lambda function in the VPC. `provider`: pulumi-postgresql, where `pulumi up` runs."""
    administrator: RoleName = "pgpl_admin"
    """Role that owns the databases and grants; neither the master user nor a superuser."""


class NewIamRole(Section):
    """An IAM role to make, for an application that has none; it may do nothing but connect."""

    trusted_services: Annotated[tuple[ServicePrincipal, ...], unique] = ()
    """AWS services that may assume it."""
    trusted_principals: Annotated[tuple[PrincipalArn, ...], unique] = ()
    """IAM roles and users that may assume it."""


class RdsRole(Section):
    """A role that logs in with an IAM token; the map's key is its name."""

    database: DatabaseName = Field(examples=["app"])
    """The database it may connect to, one of `databases`."""
    connection_limit: Whole = Field(default=20, ge=1, le=10000)
    """Most connections at the same time."""
    iam_roles: Annotated[tuple[IamRoleName, ...], unique] = ()
    """Names of IAM roles of this account that may log in as it, and get a policy for exactly that."""
    new_iam_role: NewIamRole | None = None
    """An IAM role to make that may log in as it."""
    grants: tuple[Grant, ...] = ()
    """What it may do in its database."""


class Rds(Section):
    """RDS for PostgreSQL, with one IAM identity per role."""

    major: Whole = Field(default=17, ge=15, le=18)
    """Major release of PostgreSQL; RDS chooses and upgrades the minor one."""
    instance_class: DbInstanceClass = "db.m7g.large"
    """Instance class; IAM authentication needs 2 GiB of memory."""
    multi_az: Truth = True
    """A standby in another zone, to which RDS fails over."""
    storage: RdsStorage = RdsStorage()
    """Storage of the databases."""
    port: Whole = Field(default=5432, ge=1150, le=65535)
    """TCP port."""
    minimum_protocol: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.3"
    """Lowest TLS version the server accepts."""
    ca_identifier: Literal["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"] = "rds-ca-rsa2048-g1"
    """Authority that signs the server's certificate; clients trust all three of their region."""
    ca_bundle: BundlePath | None = None
    """PEM file of authorities to trust, from the project's folder; absent: Amazon's of the region."""
    allowed_clients: AllowedClients = AllowedClients()
    """What may reach the port."""
    databases: Mapping[DeclaredDatabaseName, Database] = {}
    """Databases by name. One that is taken out stays in PostgreSQL."""
    database_roles: RdsDatabaseRoles = RdsDatabaseRoles()
    """How databases, roles and grants are made."""
    roles: Mapping[DeclaredRoleName, RdsRole] = {}
    """Roles by name. One that is taken out can no longer log in."""
    parameters: Mapping[str, SettingText] = {}
    """Further parameters by name, written as in postgresql.conf; see the list at the end."""
    backup: RdsBackup = RdsBackup()
    """Automated backups."""
    maintenance_window: MaintenanceWindow = "sun:03:30-sun:04:30"
    """When RDS may do maintenance each week, in UTC, at least half an hour, not during backups."""
    apply_immediately: Truth = False
    """Change class, storage and the like at once instead of in the maintenance window."""
    deletion_protection: Truth = True
    """Refuse to delete the instance, also by `pulumi destroy`; its KMS key then outlives the stack."""
    monitoring_interval_seconds: MonitoringInterval = 60
    """How often enhanced monitoring measures the operating system, in seconds."""
    alarm_topics: Annotated[tuple[TopicArn, ...], unique] = ()
    """SNS topics that learn of failed IAM logins and of what happens to the instance."""
    log_retention_days: LogRetentionDays = 90
    """How long CloudWatch keeps the logs."""

    @property
    def declaration(self) -> declaration.Declaration:
        """Databases, roles and grants as `postgres/` means them."""
        return declared(self.database_roles.administrator, self.databases, self.roles)
