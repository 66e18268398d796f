"""Values that are good by themselves and do not fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from postgres import declaration, server_settings, versions
from settings import aws, dns
from settings.declaration_contradictions import grant_problems, undeclared_database
from settings.gateway_contradictions import gateway_contradictions
from settings.generation import generation_problems
from settings.problems import Path, Problem, may_be_secret
from settings.rds_contradictions import rds_contradictions

if TYPE_CHECKING:
    from settings.stack import Certificates, Network, Role, SelfManaged, Settings

_SELF: Path = ("selfManaged",)
# PostgreSQL's defaults; the last two are taken from the first.
_CONNECTIONS = {"max_connections": "100", "superuser_reserved_connections": "3", "reserved_connections": "0"}


def contradictions(settings: Settings) -> Iterator[Problem]:
    """Everything in valid settings that contradicts something else in them."""
    if settings.network:
        yield from _network(settings.network)
    yield from _certificates(settings.certificates)
    yield from _tags(settings)
    if server := settings.self_managed:
        if not settings.network:
            yield Problem(
                _SELF,
                "needs to know where the server lives; add a section network with create or existing",
                reads=(_SELF, ("network",)),
            )
        if not settings.certificates.administrators:
            yield Problem(
                ("certificates", "administrators"),
                "is empty, so that nobody could renew an identity; name at least the role or user that "
                "runs pulumi up",
                reads=(_SELF, ("certificates",)),
            )
        yield from _machine(server)
        yield from _clients(server)
        yield from _administrator(server)
        yield from _server_settings(server)
        for name, role in server.roles.items():
            yield from _role(server, name, role)
    if settings.rds:
        yield from rds_contradictions(settings, settings.rds)
    if settings.gateway:
        yield from gateway_contradictions(settings, settings.gateway)


def _network(network: Network) -> Iterator[Problem]:
    path: Path = ("network",)
    if network.create and network.existing:
        yield Problem(path, "has both create and existing; keep one of them")
    if not (network.create or network.existing):
        yield Problem(
            path, "has neither create nor existing; give one of them, for example create: {zones: 2}"
        )


def _certificates(certificates: Certificates) -> Iterator[Problem]:
    path: Path = ("certificates",)
    renew, leaf, authority = (
        (*path, key) for key in ("renewBeforeDays", "leafValidityDays", "authorityValidityDays")
    )
    if certificates.renew_before_days >= certificates.leaf_validity_days:
        yield Problem(
            renew,
            f"is not shorter than leafValidityDays ({certificates.leaf_validity_days}), so that every "
            f"pulumi up would renew all certificates; allowed: 1 to {certificates.leaf_validity_days - 1}",
            certificates.renew_before_days,
            (renew, leaf),
        )
    if certificates.leaf_validity_days >= certificates.authority_validity_days:
        yield Problem(
            leaf,
            f"is not shorter than authorityValidityDays ({certificates.authority_validity_days}); a "
            "certificate is worth nothing after its authority's end: shorten the one or lengthen the other",
            certificates.leaf_validity_days,
            (leaf, authority),
        )
    yield from generation_problems((*path, "serverGenerations"), certificates.server_generations)
    yield from generation_problems((*path, "clientGenerations"), certificates.client_generations)


def _tags(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for key in settings.tags:
        if (twin := seen.setdefault(key.lower(), key)) != key:
            yield Problem(
                ("tags", key), f"differs from {twin} in case only, which IAM refuses; keep one of them"
            )


def _machine(server: SelfManaged) -> Iterator[Problem]:
    floor, major = (*_SELF, "minorFloor"), (*_SELF, "major")
    for problem in versions.minor_floor_problems(server.major, server.minor_floor):
        yield Problem(floor, problem, server.minor_floor, (floor, major))
    real = aws.architecture_of(server.instance_type)
    if server.architecture != real:
        path = (*_SELF, "architecture")
        yield Problem(
            path,
            f"does not fit {server.instance_type}, which is {real}; leave architecture out, "
            "or choose another type",
            server.architecture,
            (path, (*_SELF, "instanceType")),
        )
    if server.image.id and server.image.model_fields_set & {"release", "revision"}:
        yield Problem(
            (*_SELF, "image"),
            "has an id beside release or revision, which an id leaves without meaning; keep one",
        )
    volume = server.volume
    for key, value, message in aws.gp3_problems(volume.size_gib, volume.iops, volume.throughput_mibps):
        yield Problem((*_SELF, "volume", key), message, value, ((*_SELF, "volume"),))
    if len(server.private_dns.fqdn) > dns.MAXIMUM_NAME_LENGTH:
        yield Problem(
            (*_SELF, "privateDns"),
            f"makes {server.private_dns.fqdn}, which has {len(server.private_dns.fqdn)} characters; "
            f"a certificate's common name ends at {dns.MAXIMUM_NAME_LENGTH}: shorten name or zone",
        )


def _clients(server: SelfManaged) -> Iterator[Problem]:
    clients = server.allowed_clients
    if server.roles and not (clients.networks or clients.security_groups):
        path = (*_SELF, "allowedClients")
        yield Problem(
            path,
            f"lets nobody reach the server, but there are roles ({', '.join(server.roles)}); "
            "name networks or securityGroups",
            reads=(path, (*_SELF, "roles")),
        )


def _administrator(server: SelfManaged) -> Iterator[Problem]:
    roles = server.database_roles
    path = (*_SELF, "databaseRoles")
    networks = (*path, "administratorNetworks")
    reads = (networks, (*path, "through"))
    if roles.administrator in server.roles:
        place = (*path, "administrator")
        yield Problem(
            place,
            "is also one of roles; the administrator owns the databases, so no application logs in as it: "
            "rename one",
            roles.administrator,
            (place, (*_SELF, "roles", roles.administrator)),
        )
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
    yield from _unreachable(server, networks, roles.administrator_networks)
    if roles.through == "provider":
        yield from _extensions_for_superusers(server)


def _extensions_for_superusers(server: SelfManaged) -> Iterator[Problem]:
    for name, database in server.databases.items():
        path = (*_SELF, "databases", name, "extensions")
        for index, extension in enumerate(database.extensions):
            if extension in declaration.SUPERUSER_EXTENSIONS:
                yield Problem(
                    (*path, index),
                    "needs a superuser, which pulumi-postgresql is not here; remove it, or set "
                    "databaseRoles.through: node",
                    extension,
                    ((*path, index), (*_SELF, "databaseRoles")),
                )


def _role(server: SelfManaged, name: str, role: Role) -> Iterator[Problem]:
    path = (*_SELF, "roles", name)
    yield from undeclared_database(_SELF, path, role.database, server.databases)
    yield from _unreachable(server, (*path, "networks"), role.networks)
    most = _connections_for_roles(server)
    if most is not None and role.connection_limit > most:
        limit = (*path, "connectionLimit")
        yield Problem(
            limit,
            f"is more than the server gives to roles; allowed: 1 to {most} (max_connections less "
            "reserved ones); lower it, or raise serverSettings.max_connections",
            role.connection_limit,
            (limit, (*_SELF, "serverSettings")),
        )
    yield from grant_problems(_SELF, (*path, "grants"), server.major, role)


def _unreachable(server: SelfManaged, path: Path, networks: Sequence[str]) -> Iterator[Problem]:
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


def _connections_for_roles(server: SelfManaged) -> int | None:
    extra = server.server_settings
    texts = [extra.get(name, default) for name, default in _CONNECTIONS.items()]
    if not all(text.isascii() and text.isdigit() for text in texts):
        return None
    most, *reserved = map(int, texts)
    return most - sum(reserved)


def _server_settings(server: SelfManaged) -> Iterator[Problem]:
    for name, value in server.server_settings.items():
        path = (*_SELF, "serverSettings", name)
        for problem in server_settings.setting_problems(server.major, name, value):
            text = (
                "is not to be set here (value not shown); remove it"
                if may_be_secret(path, value)
                else problem
            )
            yield Problem(path, text, reads=(path, (*_SELF, "major")))
