"""From who may connect from where to the lines of pg_hba.conf."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from postgres.hba import AuthenticationMethod, ConnectionType, Rule, literal_name
from postgres.identifiers import database_name_problems, role_name_problems
from postgres.networks import network_problems, parse_network
from postgres.roles import Declaration

SUPERUSER = "postgres"
MACHINE_MAP = "machine"
"""The map of pg_ident.conf whose lines only the machine can write: they name its operating-system user."""

MAINTENANCE_DATABASE = "postgres"


@dataclass(frozen=True, kw_only=True)
class RoleAccess:
    """A role, the databases it may connect to, and the networks (CIDR) it may come from."""

    role: str
    databases: tuple[str, ...]
    networks: tuple[str, ...]


def hba_rules(
    administrator: str,
    accesses: Sequence[RoleAccess],
    administrator_networks: Sequence[str] = (),
    *,
    databases: Iterable[str] = (),
) -> list[Rule]:
    """The rules of a self-managed server, in the order in which they must stand.

    Local peer lines for the superuser and the administrator; then the superuser and replication are
    rejected; then one line per role and network lets the role in by certificate over TLS; then
    everything else is rejected, in words that a client understands.

    `administrator_networks` let the administrator in by certificate as well (for
    `databaseRoles.through: provider`), to the maintenance database, the databases of `accesses`, and
    `databases`.

    Raises:
        ValueError: a network is not one (see networks.network_problems).
    """
    rules = [
        _local(SUPERUSER, "the machine manages its own server"),
        _local(administrator, "and runs the declared roles and grants as the administrator"),
        _reject(ConnectionType.HOSTSSL, "all", SUPERUSER, "no remote superuser"),
        _reject(ConnectionType.HOST, "replication", "all", "no remote replication"),
    ]
    if administrator_networks:
        reachable = {
            MAINTENANCE_DATABASE,
            *databases,
            *(name for access in accesses for name in access.databases),
        }
        rules += _certificate(administrator, sorted(reachable), administrator_networks)
    for access in sorted(accesses, key=lambda access: access.role):
        rules += _certificate(access.role, access.databases, access.networks)
    rules += [
        _reject(ConnectionType.HOSTGSSENC, "all", "all", "nobody with GSS encryption"),
        _reject(ConnectionType.HOSTNOSSL, "all", "all", "nobody without TLS"),
        _reject(ConnectionType.HOST, "all", "all", "nobody else"),
    ]
    return rules


def connection_plan_problems(
    declaration: Declaration, accesses: Sequence[RoleAccess], administrator_networks: Sequence[str] = ()
) -> list[str]:
    """What does not fit together between who may connect and what is declared; empty when all does.

    Checked: names and networks by themselves, each role once, each role and database declared, each
    role granted CONNECT where it is let in, and each declared role let in from somewhere.
    """
    declared = {role.name: role for role in declaration.roles}
    databases = {database.name for database in declaration.databases}
    problems = [problem for network in administrator_networks for problem in network_problems(network)]
    problems += [
        problem for database in declaration.databases for problem in database_name_problems(database.name)
    ]
    problems += role_name_problems(declaration.administrator)
    names = [access.role for access in accesses]
    problems += [
        f"role {name!r} is let in twice; merge the two"
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    for access in accesses:
        problems += role_name_problems(access.role)
        if access.role == declaration.administrator:
            problems.append(f"role {access.role!r} is the administrator; choose another name")
        elif access.role not in declared:
            problems.append(f"role {access.role!r} is let in but not declared; declare it or drop it")
        if not access.networks:
            problems.append(
                f"role {access.role!r} has no networks to come from; give at least one in CIDR form"
            )
        if not access.databases:
            problems.append(f"role {access.role!r} has no databases; give at least one")
        problems += [
            f"role {access.role!r}: {problem}"
            for network in access.networks
            for problem in network_problems(network)
        ]
        connectable = declared[access.role].databases if access.role in declared else access.databases
        for database in access.databases:
            if database not in databases:
                problems.append(
                    f"role {access.role!r} is let into database {database!r}, which is not declared"
                )
            elif database not in connectable:
                problems.append(
                    f"role {access.role!r} is let into database {database!r} but not granted CONNECT there"
                )
    problems += [
        f"role {name!r} is declared but has no networks to come from"
        for name in sorted(set(declared) - set(names))
    ]
    return problems


def _local(user: str, comment: str) -> Rule:
    return Rule(
        type=ConnectionType.LOCAL,
        databases=("all",),
        users=(literal_name(user),),
        method=AuthenticationMethod.PEER,
        options=(("map", MACHINE_MAP),),
        comment=comment,
    )


def _reject(connection_type: ConnectionType, database: str, user: str, comment: str) -> Rule:
    return Rule(
        type=connection_type,
        databases=(database,),
        users=(user,),
        address="all",
        method=AuthenticationMethod.REJECT,
        comment=comment,
    )


def _certificate(role: str, databases: Iterable[str], networks: Iterable[str]) -> list[Rule]:
    return [
        Rule(
            type=ConnectionType.HOSTSSL,
            databases=tuple(literal_name(database) for database in sorted(set(databases))),
            users=(literal_name(role),),
            address=str(network),
            method=AuthenticationMethod.CERT,
        )
        for network in sorted(
            {parse_network(network) for network in networks}, key=lambda network: (network.version, network)
        )
    ]
