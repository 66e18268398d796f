"""What contradicts something else in the section `rds`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from postgres import declaration, rds_parameters
from settings import aws_rds
from settings.declaration_contradictions import grant_problems, undeclared_database
from settings.problems import Path, Problem, may_be_secret
from settings.rds import MASTER, Rds, RdsRole

if TYPE_CHECKING:
    from settings import Settings

_RDS: Path = ("rds",)


def rds_contradictions(settings: Settings, server: Rds) -> Iterator[Problem]:
    """Everything in a valid section `rds` that contradicts something else."""
    yield from _network(settings)
    yield from _instance(server)
    yield from _administrator(server)
    if settings.gateway is None:
        yield from _clients(server)
    yield from _extensions(server)
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
        yield from _role(server, name, role)


def _network(settings: Settings) -> Iterator[Problem]:
    network = settings.network
    if network is None:
        yield Problem(
            _RDS,
            "needs to know where the server lives; add a section network with create or existing",
            reads=(_RDS, ("network",)),
        )
    elif network.existing and len(network.existing.private_subnet_ids) == 1:
        path = ("network", "existing", "privateSubnetIds")
        yield Problem(
            path,
            "has one subnet, and RDS wants subnets in two zones, standby or not; add another",
            reads=(path, _RDS),
        )
    if not settings.certificates.administrators:
        path = ("certificates", "administrators")
        yield Problem(
            path,
            "is empty, so that nobody could write what the roles function runs; name at least the role or "
            "user that runs pulumi up",
            reads=(_RDS, ("certificates",)),
        )


def _instance(server: Rds) -> Iterator[Problem]:
    storage = server.storage
    for key, value, message in aws_rds.storage_problems(
        storage.size_gib, storage.maximum_size_gib, storage.iops, storage.throughput_mibps
    ):
        yield Problem((*_RDS, "storage", key), message, value, ((*_RDS, "storage"),))
    if aws_rds.windows_overlap(server.backup.window, server.maintenance_window):
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


def _administrator(server: Rds) -> Iterator[Problem]:
    administrator = server.database_roles.administrator
    path = (*_RDS, "databaseRoles", "administrator")
    if administrator == MASTER:
        yield Problem(
            path,
            "is the master user, whom an IAM login would lock out of its password; rename it",
            administrator,
        )
    if administrator in server.roles:
        yield Problem(
            path,
            "is also one of roles; the administrator owns the databases, so no application logs in as it: "
            "rename one",
            administrator,
            (path, (*_RDS, "roles", administrator)),
        )


def _clients(server: Rds) -> Iterator[Problem]:
    clients = server.allowed_clients
    if server.roles and not (clients.networks or clients.security_groups):
        path = (*_RDS, "allowedClients")
        yield Problem(
            path,
            f"lets nobody reach the server, but there are roles ({', '.join(server.roles)}); "
            "name networks or securityGroups",
            reads=(path, (*_RDS, "roles")),
        )


def _extensions(server: Rds) -> Iterator[Problem]:
    for name, database in server.databases.items():
        for index, extension in enumerate(database.extensions):
            if extension not in declaration.TRUSTED_EXTENSIONS:
                path = (*_RDS, "databases", name, "extensions", index)
                yield Problem(
                    path,
                    "needs a superuser, which the administrator is not on RDS; remove it, create it once as "
                    "the master user",
                    extension,
                )


def _role(server: Rds, name: str, role: RdsRole) -> Iterator[Problem]:
    path = (*_RDS, "roles", name)
    if name == MASTER:
        yield Problem(path, "is the master user, who never logs in by IAM; choose another name")
    yield from undeclared_database(_RDS, path, role.database, server.databases)
    yield from grant_problems(_RDS, (*path, "grants"), server.major, role)
    new = role.new_iam_role
    if new is not None and not (new.trusted_services or new.trusted_principals):
        yield Problem(
            (*path, "newIamRole"), "trusts nobody; name trustedServices or trustedPrincipals, or leave it out"
        )
