"""Who may connect from where, as rules of pg_hba.conf."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postgres.declaration import Declaration
from postgres.hba_rule import AuthenticationMethod, ConnectionType, Rule, literal_name
from postgres.identifiers import MAINTENANCE_DATABASE, SUPERUSER, database_name_problems, role_name_problems
from postgres.networks import everywhere_problems, network_problems, parse_network

MACHINE_MAP = "machine"
"""The map of pg_ident.conf that the machine writes itself: its lines name operating-system users."""


def hba_rules(declaration: Declaration, administrator_networks: Sequence[str] = ()) -> list[Rule]:
    """The rules of a self-managed server, in the order in which PostgreSQL must read them.

    Local peer lines for the superuser and the administrator; then the superuser and replication are
    rejected; then one line per role and network lets the role in by certificate over TLS; then
    everything else is rejected, so that clients get a clear error.

    From `administrator_networks` the administrator may log in by certificate as well (for
    `databaseRoles.through: provider`), to the maintenance database and to every declared one.

    Raises:
        ValueError: a network is not valid (see networks.network_problems).
    """
    administrator = declaration.administrator
    rules = [
        _local(SUPERUSER, "the machine manages its own server"),
        _local(administrator, "and runs the declared roles and grants as the administrator"),
        _reject(ConnectionType.HOSTSSL, "all", SUPERUSER, "no remote superuser"),
        _reject(ConnectionType.HOST, "replication", "all", "no remote replication"),
    ]
    if administrator_networks:
        databases = [MAINTENANCE_DATABASE, *(database.name for database in declaration.databases)]
        rules += _certificate(administrator, databases, administrator_networks)
    for role in sorted(declaration.roles, key=lambda role: role.name):
        rules += _certificate(role.name, role.databases, role.networks)
    rules += [
        _reject(ConnectionType.HOSTGSSENC, "all", "all", "nobody with GSS encryption"),
        _reject(ConnectionType.HOSTNOSSL, "all", "all", "nobody without TLS"),
        _reject(ConnectionType.HOST, "all", "all", "nobody else"),
    ]
    return rules


def access_problems(declaration: Declaration, administrator_networks: Sequence[str] = ()) -> list[str]:
    """Why no rules can be made for the declared roles; empty when they can.

    Checked: names and networks by themselves, each role once, and for each role declared databases to
    connect to and networks to come from. `declaration_problems` checks everything else.
    """
    databases = [database.name for database in declaration.databases]
    names = [role.name for role in declaration.roles]
    problems = _network_problems(administrator_networks)
    problems += [problem for name in databases for problem in database_name_problems(name)]
    problems += role_name_problems(declaration.administrator)
    problems += [
        f"role {name!r} is given twice; merge the two" for name in sorted(set(names)) if names.count(name) > 1
    ]
    for role in declaration.roles:
        found = role_name_problems(role.name)
        if role.name == declaration.administrator:
            found.append("is the administrator; choose another name")
        if not role.networks:
            found.append("has no networks to come from; give at least one in CIDR form")
        if not role.databases:
            found.append("has no databases; give at least one")
        found += _network_problems(role.networks)
        found += [
            f"may connect to database {name!r}, which is not declared"
            for name in role.databases
            if name not in databases
        ]
        problems += [f"role {role.name!r}: {problem}" for problem in found]
    return problems


def _network_problems(networks: Sequence[str]) -> list[str]:
    found = [problem for network in networks for problem in network_problems(network)]
    return found or [f"networks {problem}" for problem in everywhere_problems(networks)]


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
