"""The section `rds`: RDS for PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from postgres import declaration, rds_parameters
from postgres.protocol import MinimumProtocol
from postgres.versions import DEFAULT_MAJOR
from settings.aws import (
    ClusterIssuerArn,
    KmsKeyArn,
    LogRetentionDays,
    PrincipalArn,
    SecurityGroupId,
    TopicArn,
)
from settings.certificates import BundlePath, Certificates, no_administrator_problems
from settings.databases import (
    Database,
    DeclaredDatabaseName,
    DeclaredRole,
    DeclaredRoleName,
    RoleName,
    administrator_problems,
    declared,
    executor_problems,
    extension_problems,
    role_problems,
)
from settings.network import (
    AllowedClients,
    Network,
    missing_network_problems,
    security_group_problems,
    unreachable_server_problems,
)
from settings.problems import Path, Problem, may_be_secret
from settings.quotas import ALARM_ACTIONS, INSTANCE_IDENTIFIER, Quotas
from settings.reconcile import Reconcile
from settings.section import (
    Checked,
    Section,
    SettingText,
    StrictBool,
    StrictInt,
    integer_from_text,
    unique,
)

MASTER = "pgpl_master"
"""The master user of every instance: nobody logs in as it but the roles function, once."""

_RDS: Path = ("rds",)
_INSTANCE_CLASS = re.compile(
    r"db\.(?P<series>[a-z]+)(?P<generation>\d+)(?P<attributes>[a-z]*)"
    r"\.(?P<size>micro|small|medium|large|\d*xlarge)(\.tpc\d\.mem\dx)?"
)
_TOO_SMALL = ("micro",)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_BACKUP = re.compile(rf"{_TIME}-{_TIME}")
_MAINTENANCE = re.compile(rf"(?:{'|'.join(_DAYS)}):{_TIME}-(?:{'|'.join(_DAYS)}):{_TIME}")
_DAY = 24 * 60
_WEEK = 7 * _DAY
_SHORTEST_WINDOW = 30
_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_IAM_ROLE = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_OF_IDENTITY_CENTER = "AWSReservedSSO_"
_OF_AWS_SERVICES = "AWSServiceRoleFor"
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.amazonaws\.com(\.cn)?")
# Labels of RFC 1123, and a DNS name for the account (Kubernetes, "Object Names and IDs").
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAX_ACCOUNT_NAME = 253
_BASELINE_ENDS_GIB = 400


def _instance_class_problems(instance_class: str) -> list[str]:
    """What is wrong with the class of an instance; whether a region has it, only AWS knows."""
    found = _INSTANCE_CLASS.fullmatch(instance_class)
    if found is None:
        return ["is not an RDS instance class such as db.m7g.large or db.t4g.small"]
    if found["size"] in _TOO_SMALL:
        return ["has 1 GiB of memory, and IAM authentication alone takes up to 1000 MiB; choose db.t4g.small"]
    return []


def _backup_window_problems(window: str) -> list[str]:
    """What is wrong with a daily window such as 02:00-03:00."""
    if not _BACKUP.fullmatch(window):
        return ["is not of the form hh:mm-hh:mm in UTC, such as 02:00-03:00"]
    return _too_short(_length(*_minutes_of_day(window), _DAY))


def _maintenance_window_problems(window: str) -> list[str]:
    """What is wrong with a weekly window such as sun:03:30-sun:04:30."""
    if not _MAINTENANCE.fullmatch(window):
        return ["is not of the form ddd:hh:mm-ddd:hh:mm in UTC, such as sun:03:30-sun:04:30"]
    length = _length(*_minutes_of_week(window), _WEEK)
    if length > _DAY:
        return ["is longer than a day; RDS takes up to 24 hours"]
    return _too_short(length)


def windows_overlap(backup: str, maintenance: str) -> bool:
    """Whether a daily and a weekly window, both well formed, share a minute."""
    first, last = _minutes_of_week(maintenance)
    maintenance_minutes = {minute % _WEEK for minute in range(first, first + _length(first, last, _WEEK))}
    start, end = _minutes_of_day(backup)
    length = _length(start, end, _DAY)
    return any(
        (day * _DAY + start + minute) % _WEEK in maintenance_minutes
        for day in range(7)
        for minute in range(length)
    )


def _minutes_of_day(window: str) -> tuple[int, int]:
    start, end = ((int(text[:2]) * 60 + int(text[3:])) for text in window.split("-"))
    return start, end


def _minutes_of_week(window: str) -> tuple[int, int]:
    start, end = (
        _DAYS.index(text[:3]) * _DAY + int(text[4:6]) * 60 + int(text[7:]) for text in window.split("-")
    )
    return start, end


def _length(start: int, end: int, cycle: int) -> int:
    return (end - start) % cycle


def _too_short(length: int) -> list[str]:
    return [] if length >= _SHORTEST_WINDOW else [f"is {length} minutes long; RDS takes 30 or more"]


def _identifier_problems(identifier: str) -> list[str]:
    """What is wrong with the identifier of an instance."""
    if _IDENTIFIER.fullmatch(identifier) and len(identifier) <= INSTANCE_IDENTIFIER.limit:
        return []
    return ["is not an identifier of an RDS instance, such as orders-prod"]


def _iam_role_name_problems(name: str) -> list[str]:
    """What is wrong with the name of an IAM role of this account."""
    if name.startswith("arn:"):
        return ["is an ARN; give the name alone, since a policy is attached in this account only"]
    if name.startswith(_OF_IDENTITY_CENTER):
        problem = (
            "belongs to IAM Identity Center, which alone writes its policies; let its users connect by the "
            "permission set's inline policy (rds-db:connect on the role's connectArn in the connections "
            "document), or assume a newIamRole"
        )
        return [problem]
    if name.startswith(_OF_AWS_SERVICES):
        return ["belongs to a service of AWS and takes no policy; name a role of your own"]
    return [] if _IAM_ROLE.fullmatch(name) else ["is not the name of an IAM role"]


def _service_principal_problems(service: str) -> list[str]:
    """What is wrong with the name of a service that may assume a role."""
    if not _SERVICE.fullmatch(service) or any("" in pair for pair in pairwise(service.split("."))):
        return ["is not the name of an AWS service such as ecs-tasks.amazonaws.com"]
    return []


DbInstanceClass = Annotated[
    str,
    Checked(_instance_class_problems, "an RDS instance class of 2 GiB or more such as db.m7g.large"),
]
InstanceIdentifier = Annotated[
    str,
    Checked(
        _identifier_problems,
        f"a letter, then lower-case letters, digits and single hyphens, {INSTANCE_IDENTIFIER.limit} at most",
    ),
]
BackupWindow = Annotated[str, Checked(_backup_window_problems, "hh:mm-hh:mm, 30 minutes or more")]
MaintenanceWindow = Annotated[
    str, Checked(_maintenance_window_problems, "ddd:hh:mm-ddd:hh:mm, 30 minutes or more")
]
IamRoleName = Annotated[str, Checked(_iam_role_name_problems, "the name of an IAM role of this account")]
ServicePrincipal = Annotated[
    str, Checked(_service_principal_problems, "a service such as ecs-tasks.amazonaws.com")
]
MonitoringInterval = Annotated[Literal[1, 5, 10, 15, 30, 60], integer_from_text]


class RdsStorage(Section):
    """The encrypted gp3 storage of the instance."""

    size_gib: StrictInt = Field(default=100, ge=20, le=65536, alias="sizeGiB")
    """Size in GiB; it can grow, never shrink."""
    maximum_size_gib: StrictInt | None = Field(default=None, ge=22, le=65536, alias="maximumSizeGiB")
    """Size up to which RDS lets it grow by itself, at least a tenth above `sizeGiB`; absent: not at all."""
    iops: StrictInt | None = Field(default=None, ge=12000, le=64000)
    """Operations per second, from 400 GiB on; absent: RDS's baseline for the size."""
    throughput_mibps: StrictInt | None = Field(default=None, ge=500, le=4000, alias="throughputMiBps")
    """Throughput in MiB/s, from 400 GiB on; absent: RDS's baseline for the size."""
    kms_key_arn: KmsKeyArn | None = None
    """Key that encrypts storage, backups and the master's secret; absent: a key made by this stack."""


class RdsBackup(Section):
    """Automated backups."""

    retention_days: StrictInt = Field(default=14, ge=1, le=35)
    """How long they are kept, which is also how far point-in-time recovery reaches back."""
    window: BackupWindow = "02:00-03:00"
    """When they are made each day, in UTC, at least half an hour."""
    final_snapshot: StrictBool = True
    """Take a snapshot when the instance is deleted."""


class RdsDatabaseRoles(Section):
    """Who makes databases, roles and grants inside PostgreSQL."""

    through: Literal["function", "provider"] = "function"
    """`function`: a Lambda function in the VPC. `provider`: pulumi-postgresql, where `pulumi up` runs."""
    administrator: RoleName = "pgpl_admin"
    """Role that owns the databases and grants; neither the master user nor a superuser."""


def _namespace_problems(name: str) -> list[str]:
    return [] if _LABEL.fullmatch(name) else ["is not the name of a namespace of Kubernetes; no patterns"]


def _account_name_problems(name: str) -> list[str]:
    whole = len(name) <= _MAX_ACCOUNT_NAME and all(_LABEL.fullmatch(label) for label in name.split("."))
    return [] if whole else ["is not the name of a service account of Kubernetes; no patterns"]


class ServiceAccount(Section):
    """A service account of a Kubernetes cluster of EKS, whose pods may assume the role (IRSA)."""

    issuer: ClusterIssuerArn = Field(
        examples=[
            (
                "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/"
                "0123456789ABCDEF0123456789ABCDEF"
            )
        ]
    )
    """ARN of the cluster's OIDC provider in IAM."""
    namespace: Annotated[str, Checked(_namespace_problems, "the name of a namespace")] = Field(
        examples=["shop"]
    )
    """Its namespace."""
    name: Annotated[str, Checked(_account_name_problems, "the name of a service account")] = Field(
        examples=["app"]
    )
    """Its name."""


class NewIamRole(Section):
    """An IAM role to make, for an application that has none; it may do nothing but connect."""

    trusted_services: Annotated[tuple[ServicePrincipal, ...], unique] = ()
    """AWS services that may assume it."""
    trusted_principals: Annotated[tuple[PrincipalArn, ...], unique] = ()
    """IAM roles and users that may assume it."""
    service_accounts: Annotated[tuple[ServiceAccount, ...], unique] = ()
    """Service accounts of EKS clusters whose pods may assume it; with EKS Pod Identity, name
    pods.eks.amazonaws.com in trustedServices instead."""

    @property
    def trusts_somebody(self) -> bool:
        """Whether anybody may assume it."""
        return bool(self.trusted_services or self.trusted_principals or self.service_accounts)


class RdsRole(DeclaredRole):
    """A role that logs in with an IAM token; the map's key is its name."""

    iam_roles: Annotated[tuple[IamRoleName, ...], unique] = ()
    """Names of IAM roles of this account that may log in as it, and get a policy for exactly that."""
    new_iam_role: NewIamRole | None = None
    """An IAM role to make that may log in as it."""


class Rds(Section):
    """RDS for PostgreSQL, with one IAM identity per role."""

    identifier: InstanceIdentifier | None = None
    """Identifier of the instance, which stays for good; absent: one with the stack's name in it."""
    major: StrictInt = Field(default=DEFAULT_MAJOR, ge=15, le=18)
    """Major release of PostgreSQL; RDS chooses and upgrades the minor one."""
    instance_class: DbInstanceClass = "db.m7g.large"
    """Instance class; IAM authentication needs 2 GiB of memory."""
    multi_az: StrictBool = True
    """A standby in another zone, to which RDS fails over."""
    storage: RdsStorage = RdsStorage()
    """Storage of the databases."""
    port: StrictInt = Field(default=5432, ge=1150, le=65535)
    """TCP port."""
    minimum_protocol: MinimumProtocol = "TLSv1.3"
    """Lowest TLS version the server accepts."""
    ca_identifier: Literal["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"] = "rds-ca-rsa2048-g1"
    """Authority that signs the server's certificate; clients trust all three of their region."""
    ca_bundle: BundlePath | None = None
    """PEM file of authorities to trust, from the project's folder; absent: Amazon's of the region."""
    allowed_clients: AllowedClients = AllowedClients()
    """What may reach the port."""
    secrets_manager_endpoint: SecurityGroupId | None = None
    """Security group of the VPC's interface endpoint for Secrets Manager: besides the server, the roles
    function then reaches nothing else; absent: port 443 of any address."""
    databases: Mapping[DeclaredDatabaseName, Database] = {}
    """Databases by name. One that is taken out stays in PostgreSQL."""
    database_roles: RdsDatabaseRoles = RdsDatabaseRoles()
    """How databases, roles and grants are made."""
    roles: Mapping[DeclaredRoleName, RdsRole] = {}
    """Roles by name. One that is taken out can no longer log in."""
    parameters: Mapping[str, SettingText] = {}
    """Further parameters by name, written as in postgresql.conf; see the list at the end."""
    reconcile: Reconcile = Reconcile()
    """How drift is put back."""
    backup: RdsBackup = RdsBackup()
    """Automated backups."""
    maintenance_window: MaintenanceWindow = "sun:03:30-sun:04:30"
    """When RDS may do maintenance each week, in UTC, at least half an hour, not during backups."""
    apply_immediately: StrictBool = False
    """Change class, storage and the like at once instead of in the maintenance window."""
    deletion_protection: StrictBool = True
    """Refuse to delete the instance, also by `pulumi destroy`; its KMS key then outlives the stack."""
    monitoring_interval_seconds: MonitoringInterval = 60
    """How often enhanced monitoring measures the operating system, in seconds."""
    alarm_topics: Annotated[tuple[TopicArn, ...], unique] = Field(default=(), max_length=ALARM_ACTIONS.limit)
    """SNS topics that learn of failed IAM logins and of what happens to the instance."""
    log_retention_days: LogRetentionDays = 90
    """How long CloudWatch keeps the logs."""

    @property
    def declaration(self) -> declaration.Declaration:
        """Administrator, databases, roles and grants."""
        return declared(self.database_roles.administrator, self.databases, self.roles)

    @property
    def group_parameters(self) -> tuple[rds_parameters.Parameter, ...]:
        """The parameters of its group, those of its extensions among them.

        Raises:
            ValueError: One may not be set, or not to its value.
        """
        extensions = declaration.extensions_of(self.declaration)
        return rds_parameters.group_parameters(
            self.major, self.minimum_protocol, dict(self.parameters), extensions
        )


def rds_problems(
    server: Rds,
    network: Network | None,
    certificates: Certificates,
    quotas: Quotas,
    *,
    has_gateway: bool,
) -> Iterator[Problem]:
    """Cross-field validation of a valid section `rds`; a gateway is a client that needs no other."""
    yield from missing_network_problems(_RDS, network)
    yield from _subnet_problems(network)
    yield from no_administrator_problems(
        _RDS, certificates, "nobody could write what the roles function runs"
    )
    yield from _instance_problems(server)
    yield from _administrator_problems(server)
    if server.reconcile.hold and server.database_roles.through == "provider":
        path = (*_RDS, "reconcile", "hold")
        text = "has no effect with databaseRoles.through: provider, where `up` alone writes roles; remove it"
        yield Problem(path, text, reads=(path, (*_RDS, "databaseRoles", "through")))
    if not has_gateway:
        yield from unreachable_server_problems(_RDS, server.allowed_clients, server.roles)
    # The roles function, and the gateway's machines.
    yield from security_group_problems(_RDS, server.allowed_clients, quotas, own_rules=1 + has_gateway)
    by_provider = server.database_roles.through == "provider"
    yield from extension_problems(_RDS, server.databases, server.parameters, by_provider=by_provider)
    for name, value in server.parameters.items():
        path = (*_RDS, "parameters", name)
        for problem in rds_parameters.extra_parameter_problems(server.major, name, value):
            text = (
                "is not to be set here (value not shown); remove it"
                if may_be_secret(path, value)
                else problem
            )
            yield Problem(path, text, reads=(path, (*_RDS, "major")))
    for name, role in server.roles.items():
        yield from _role_problems(server, name, role)


def _subnet_problems(network: Network | None) -> Iterator[Problem]:
    if network and network.existing and len(network.existing.private_subnet_ids) == 1:
        path = ("network", "existing", "privateSubnetIds")
        yield Problem(
            path,
            "has one subnet, and RDS wants subnets in two zones, standby or not; add another",
            reads=(path, _RDS),
        )


def _instance_problems(server: Rds) -> Iterator[Problem]:
    storage = server.storage
    for key, value, message in _storage_problems(
        storage.size_gib, storage.maximum_size_gib, storage.iops, storage.throughput_mibps
    ):
        yield Problem((*_RDS, "storage", key), message, value, ((*_RDS, "storage"),))
    if windows_overlap(server.backup.window, server.maintenance_window):
        path = (*_RDS, "maintenanceWindow")
        yield Problem(
            path,
            f"overlaps the backup window {server.backup.window}, which RDS refuses; move one",
            server.maintenance_window,
            (path, (*_RDS, "backup")),
        )
    if server.deletion_protection and not server.backup.final_snapshot:
        path = (*_RDS, "backup", "finalSnapshot")
        yield Problem(
            path,
            "is false beside deletionProtection: true; who lifts the one would lose all data: keep one",
            reads=(path, (*_RDS, "deletionProtection")),
        )


def _administrator_problems(server: Rds) -> Iterator[Problem]:
    administrator = server.database_roles.administrator
    if administrator == MASTER:
        yield Problem(
            (*_RDS, "databaseRoles", "administrator"),
            "is the master user, whom an IAM login would lock out of its password; rename it",
            administrator,
        )
    for problem in declaration.iam_name_problems(administrator):
        yield Problem((*_RDS, "databaseRoles", "administrator"), problem)
    yield from administrator_problems(_RDS, administrator, server.roles)


def _role_problems(server: Rds, name: str, role: RdsRole) -> Iterator[Problem]:
    path = (*_RDS, "roles", name)
    if name == MASTER:
        yield Problem(path, "is the master user, who never logs in by IAM; choose another name")
    for problem in declaration.iam_name_problems(name):
        yield Problem(path, problem)
    yield from role_problems(_RDS, name, role, server.databases, server.major)
    by_provider = server.database_roles.through == "provider"
    yield from executor_problems(_RDS, name, role, server.major, by_provider=by_provider)
    new = role.new_iam_role
    if new is not None and not new.trusts_somebody:
        yield Problem(
            (*path, "newIamRole"),
            "trusts nobody; name trustedServices, trustedPrincipals or serviceAccounts, or leave it out",
        )


def _storage_problems(
    size_gib: int, maximum_gib: int | None, iops: int | None, throughput_mibps: int | None
) -> list[tuple[str, int, str]]:
    """Key, value and problem where the numbers of a gp3 storage do not fit each other (RDS user guide)."""
    found = []
    if maximum_gib is not None and maximum_gib * 10 < size_gib * 11:
        lowest = -(-size_gib * 11 // 10)
        found.append(
            ("maximumSizeGiB", maximum_gib, f"is too little; give {lowest} or more, or leave it out")
        )
    for key, value in (("iops", iops), ("throughputMiBps", throughput_mibps)):
        if value is not None and size_gib < _BASELINE_ENDS_GIB:
            text = f"cannot be chosen below {_BASELINE_ENDS_GIB} GiB; leave it out, or raise sizeGiB"
            found.append((key, value, text))
    if iops is not None and throughput_mibps is not None and throughput_mibps * 4 > iops:
        text = f"is too much for {iops} iops; allowed: 500 to {iops // 4} (a quarter of iops)"
        found.append(("throughputMiBps", throughput_mibps, text))
    if size_gib >= _BASELINE_ENDS_GIB and (iops is None) != (throughput_mibps is None):
        key, value = ("iops", iops) if iops is not None else ("throughputMiBps", throughput_mibps)
        found.append((key, value or 0, "needs its twin: give both iops and throughputMiBps, or neither"))
    return found
