"""The section `selfManaged`: PostgreSQL on an EC2 instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from postgres import access, declaration, extensions, identifiers, server_settings, versions
from postgres.protocol import MinimumProtocol
from postgres.tls_groups import TlsGroup, groups_problems
from settings.aws import KmsKeyArn, LogRetentionDays, PrincipalArn, TopicArn
from settings.certificates import (
    Certificates,
    CommonName,
    foreign_reader_problems,
    no_administrator_problems,
)
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
from settings.dns import DnsZone, HostedZoneId, RelativeDnsName
from settings.machine import Architecture, Image, InstanceType, architecture_of, image_problems, is_xen
from settings.network import (
    AllowedClients,
    ClientNetworks,
    Network,
    missing_network_problems,
    security_group_problems,
    unreachable_server_problems,
)
from settings.problems import Path, Problem, may_be_secret
from settings.quotas import ALARM_ACTIONS, COMMON_NAME, Quotas
from settings.reconcile import Reconcile
from settings.section import Checked, Section, SettingText, StrictBool, StrictInt, unique

_SELF: Path = ("selfManaged",)
_GP3_BASELINE_IOPS = 3000
# PostgreSQL's defaults; the last two are subtracted from the first.
_CONNECTIONS = {"max_connections": "100", "superuser_reserved_connections": "3", "reserved_connections": "0"}


def _not_by_function(value: Any) -> Any:
    if value == "function":
        raise ValueError(
            "is the way for RDS, where no machine of ours stands beside the server; a self-managed server "
            "has its node: choose node, or provider when pulumi up can reach the server"
        )
    return value


class Volume(Section):
    """The encrypted gp3 volume that holds the databases."""

    size_gib: StrictInt = Field(default=100, ge=1, le=65536, alias="sizeGiB")
    """Size in GiB; it can grow, never shrink."""
    iops: StrictInt = Field(default=3000, ge=3000, le=80000)
    """Operations per second; above 3000 at most 500 per GiB."""
    throughput_mibps: StrictInt = Field(default=125, ge=125, le=2000, alias="throughputMiBps")
    """Throughput in MiB/s; at most a quarter of `iops`."""
    kms_key_arn: KmsKeyArn | None = None
    """Key that encrypts the volume; absent: the account's `aws/ebs` key."""
    deletion_protection: StrictBool = True
    """Refuse to delete the volume, also by `pulumi destroy`."""


class PrivateDns(Section):
    """The name clients connect to; it is in the server's certificate and outlives the instance."""

    zone: DnsZone = Field(examples=["db.internal"])
    """Private hosted zone, made by this stack unless it has a `hostedZoneId`."""
    hosted_zone_id: HostedZoneId | None = None
    """Id of an existing private zone of that name, to which the stack adds the server's record alone; it
    must be associated with the VPCs of the server and its clients."""
    name: RelativeDnsName = "postgres"
    """Name within the zone; `""` is the zone itself."""

    @property
    def fqdn(self) -> str:
        """The whole name, without a final dot."""
        return f"{self.name}.{self.zone}" if self.name else self.zone


class DatabaseRoles(Section):
    """Who makes databases, roles and grants inside PostgreSQL."""

    through: Annotated[Literal["node", "provider"], BeforeValidator(_not_by_function)] = "node"
    """`node`: the instance itself. `provider`: pulumi-postgresql, from where `pulumi up` runs."""
    administrator: RoleName = "pgpl_admin"
    """Role that owns the databases and grants; not a superuser."""
    administrator_networks: ClientNetworks = ()
    """Networks from which `pulumi up` reaches the server; only and always with `through: provider`."""


class Role(DeclaredRole):
    """A role that logs in with its own certificate; the map's key is its name."""

    common_name: Annotated[CommonName, Checked(access.common_name_problems, "")] | None = Field(
        default=None, examples=["billing.example.org"]
    )
    """Common name of its certificate; absent: the role's name. It belongs to this role alone, and is not the
    name of another role, of the administrator or of the server. A certificate with the role's name still logs
    in; one with an earlier `commonName` does not, so fetch the role's files again after a change."""
    networks: ClientNetworks = Field(min_length=1, examples=[["10.30.0.0/24"]])
    """Networks it may come from."""
    secret_readers: Annotated[tuple[PrincipalArn, ...], unique] = ()
    """Principals that may read the secret with its certificate and key."""

    def declared(self, name: str) -> declaration.Role:
        """The role of a declaration, with its networks."""
        return replace(super().declared(name), networks=self.networks)


class SelfManaged(Section):
    """PostgreSQL on an EC2 instance."""

    major: StrictInt = Field(default=versions.DEFAULT_MAJOR, ge=15, le=18)
    """Major release of PostgreSQL."""
    minor_floor: StrictInt = Field(
        default_factory=lambda data: versions.MINIMUM_MINORS[data["major"]], ge=0, le=99
    )
    """Oldest minor release that may run; absent: the oldest with all known security fixes."""
    instance_type: InstanceType = "m7g.large"
    """EC2 instance type."""
    architecture: Architecture = Field(default_factory=lambda data: architecture_of(data["instance_type"]))
    """Processor architecture of the image; absent: that of the instance type."""
    image: Image = Image()
    """Image the instance starts from."""
    volume: Volume = Volume()
    """Volume of the databases."""
    private_dns: PrivateDns = Field(examples=[{"zone": "db.internal"}])
    """Name of the server."""
    port: StrictInt = Field(default=5432, ge=1024, le=65535)
    """TCP port."""
    minimum_protocol: MinimumProtocol = "TLSv1.3"
    """Lowest TLS version the server accepts."""
    tls_groups: Annotated[tuple[TlsGroup, ...], unique] = Field(
        default=(), examples=[["SecP384r1MLKEM1024", "X25519MLKEM768"]]
    )
    """Groups of the key exchange, the preferred first, hybrids before curves; for PostgreSQL 18. Empty:
    X25519MLKEM768, X25519, prime256v1."""
    allowed_clients: AllowedClients = AllowedClients()
    """What may reach the port."""
    databases: Mapping[DeclaredDatabaseName, Database] = {}
    """Databases by name. One that is taken out stays in PostgreSQL."""
    database_roles: DatabaseRoles = DatabaseRoles()
    """How databases, roles and grants are made."""
    roles: Mapping[DeclaredRoleName, Role] = {}
    """Roles by name. One that is taken out can no longer log in."""
    server_settings: Mapping[str, SettingText] = {}
    """Further settings of postgresql.conf by name, from the list in `postgres/server_settings.py`."""
    restart: Literal["pending", "automatic"] = "pending"
    """What happens when a setting needs a restart: report it as pending, or restart."""
    reconcile: Reconcile = Reconcile()
    """How drift is put back."""
    report_deadline_seconds: StrictInt = Field(default=900, ge=10, le=7200)
    """How long `pulumi up` waits for the instance's report, in seconds."""
    alarm_topics: Annotated[tuple[TopicArn, ...], unique] = Field(default=(), max_length=ALARM_ACTIONS.limit)
    """SNS topics that learn of drift, of a certificate's end, and of a silent machine."""
    log_retention_days: LogRetentionDays = 90
    """How long CloudWatch keeps the server's log, in days."""

    @property
    def declaration(self) -> declaration.Declaration:
        """Administrator, databases, roles and grants, and the common names of certificates."""
        named = tuple((name, role.common_name) for name, role in self.roles.items() if role.common_name)
        return replace(
            declared(self.database_roles.administrator, self.databases, self.roles), common_names=named
        )

    @property
    def further_settings(self) -> dict[str, str]:
        """`server_settings`, and what the extensions need of a server."""
        of_databases = declaration.extensions_of(self.declaration)
        return {
            **self.server_settings,
            **extensions.implied_settings(of_databases, self.server_settings, "server"),
        }


def self_managed_problems(
    server: SelfManaged, network: Network | None, certificates: Certificates, quotas: Quotas
) -> Iterator[Problem]:
    """Cross-field validation of a valid section `selfManaged`."""
    yield from missing_network_problems(_SELF, network)
    yield from no_administrator_problems(_SELF, certificates, "nobody could renew an identity")
    yield from _machine_problems(server)
    yield from unreachable_server_problems(_SELF, server.allowed_clients, server.roles)
    yield from security_group_problems(_SELF, server.allowed_clients, quotas)
    yield from _administrator_problems(server)
    yield from _common_name_problems(server)
    yield from _server_setting_problems(server)
    by_provider = server.database_roles.through == "provider"
    yield from extension_problems(_SELF, server.databases, server.server_settings, by_provider=by_provider)
    for name, role in server.roles.items():
        yield from role_problems(_SELF, name, role, server.databases, server.major)
        yield from executor_problems(_SELF, name, role, server.major, by_provider=by_provider)
        yield from _network_problems(server, (*_SELF, "roles", name, "networks"), role.networks)
        yield from _connection_limit_problems(server, name, role)
        readers = (*_SELF, "roles", name, "secretReaders")
        yield from foreign_reader_problems(readers, role.secret_readers, certificates)


def _machine_problems(server: SelfManaged) -> Iterator[Problem]:
    floor, major = (*_SELF, "minorFloor"), (*_SELF, "major")
    for problem in versions.minor_floor_problems(server.major, server.minor_floor):
        yield Problem(floor, problem, server.minor_floor, (floor, major))
    if is_xen(server.instance_type):
        yield Problem(
            (*_SELF, "instanceType"),
            "runs on Xen, where the machine does not find its volume, which it looks for among NVMe devices; "
            "choose a type of the Nitro system, such as t4g.small or m7g.large",
            server.instance_type,
        )
    real = architecture_of(server.instance_type)
    if server.architecture != real:
        path = (*_SELF, "architecture")
        yield Problem(
            path,
            f"does not fit {server.instance_type}, which is {real}; leave architecture out, "
            "or choose another type",
            server.architecture,
            (path, (*_SELF, "instanceType")),
        )
    yield from image_problems((*_SELF, "image"), server.image)
    volume = server.volume
    for key, value, message in gp3_problems(volume.size_gib, volume.iops, volume.throughput_mibps):
        yield Problem((*_SELF, "volume", key), message, value, ((*_SELF, "volume"),))
    if len(server.private_dns.fqdn) > COMMON_NAME.limit:
        yield Problem(
            (*_SELF, "privateDns"),
            f"makes {server.private_dns.fqdn}, which has {len(server.private_dns.fqdn)} characters; "
            f"a certificate's common name ends at {COMMON_NAME.limit}: shorten name or zone",
        )


def gp3_problems(size_gib: int, iops: int, throughput_mibps: int) -> list[tuple[str, int, str]]:
    """Key, value and problem where a gp3 volume's numbers do not fit each other (EBS user guide)."""
    found = []
    most_iops = max(_GP3_BASELINE_IOPS, 500 * size_gib)
    if iops > most_iops:
        text = f"is too much for {size_gib} GiB; allowed: {_GP3_BASELINE_IOPS} to {most_iops} (500 per GiB)"
        found.append(("iops", iops, text))
    if throughput_mibps * 4 > iops:
        text = f"is too much for {iops} iops; allowed: 125 to {iops // 4} (a quarter of iops)"
        found.append(("throughputMiBps", throughput_mibps, text))
    return found


def _administrator_problems(server: SelfManaged) -> Iterator[Problem]:
    roles = server.database_roles
    path = (*_SELF, "databaseRoles")
    networks = (*path, "administratorNetworks")
    reads = (networks, (*path, "through"))
    yield from administrator_problems(_SELF, roles.administrator, server.roles)
    if roles.through == "provider" and not roles.administrator_networks:
        yield Problem(
            networks,
            "is empty, but with through: provider pulumi up logs in as the administrator; name the "
            "networks it comes from",
            reads=reads,
        )
    if roles.through != "provider" and roles.administrator_networks:
        yield Problem(
            networks,
            f"opens a way in for the administrator that through: {roles.through} does not use; remove it, "
            "or set through: provider",
            reads=reads,
        )
    yield from _network_problems(server, networks, roles.administrator_networks)


def _common_name_problems(server: SelfManaged) -> Iterator[Problem]:
    """Common names of certificates that belong to somebody else."""
    administrator, fqdn = server.database_roles.administrator, server.private_dns.fqdn
    holders = {name: f"role {name}" for name in server.roles}
    holders |= {
        identifiers.SUPERUSER: "the superuser",
        administrator: "the administrator",
        fqdn: "the server",
    }
    for role, problem in access.claim_problems(server.declaration.common_names, holders):
        path = (*_SELF, "roles", role, "commonName")
        reads = (path, (*_SELF, "roles"), (*_SELF, "databaseRoles"), (*_SELF, "privateDns"))
        yield Problem(path, problem, server.roles[role].common_name, reads)


def _network_problems(server: SelfManaged, path: Path, networks: Sequence[str]) -> Iterator[Problem]:
    """Networks that the security group drops before PostgreSQL sees them."""
    allowed = server.allowed_clients
    if allowed.security_groups or not allowed.networks:
        return
    doors = [ip_network(network) for network in allowed.networks]
    for index, text in enumerate(networks):
        network = ip_network(text)
        if not any(_within(network, door) for door in doors):
            yield Problem(
                (*path, index),
                f"is outside allowedClients.networks ({', '.join(allowed.networks)}), so a login from "
                "there never arrives; correct it, or add it there",
                text,
                ((*path, index), (*_SELF, "allowedClients")),
            )


def _within(network: Any, door: Any) -> bool:
    return network.version == door.version and network.subnet_of(door)


def _connection_limit_problems(server: SelfManaged, name: str, role: Role) -> Iterator[Problem]:
    most = _connections_for_roles(server)
    if most is not None and role.connection_limit > most:
        limit = (*_SELF, "roles", name, "connectionLimit")
        yield Problem(
            limit,
            f"is more than the server gives to roles; allowed: 1 to {most} (max_connections less "
            "reserved ones); lower it, or raise serverSettings.max_connections",
            role.connection_limit,
            (limit, (*_SELF, "serverSettings")),
        )


def _connections_for_roles(server: SelfManaged) -> int | None:
    extra = server.server_settings
    texts = [extra.get(name, default) for name, default in _CONNECTIONS.items()]
    if not all(text.isascii() and text.isdigit() for text in texts):
        return None
    most, *reserved = map(int, texts)
    return most - sum(reserved)


def _server_setting_problems(server: SelfManaged) -> Iterator[Problem]:
    if server.tls_groups:
        path = (*_SELF, "tlsGroups")
        reads = (path, (*_SELF, "major"), (*_SELF, "minimumProtocol"))
        for problem in groups_problems(server.major, server.minimum_protocol, server.tls_groups):
            yield Problem(path, problem, reads=reads)
    for name, value in server.server_settings.items():
        path = (*_SELF, "serverSettings", name)
        for problem in server_settings.setting_problems(server.major, name, value):
            text = (
                "is not to be set here (value not shown); remove it"
                if may_be_secret(path, value)
                else problem
            )
            yield Problem(path, text, reads=(path, (*_SELF, "major")))
