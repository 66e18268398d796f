"""Who may connect from where, as rules of pg_hba.conf and lines of pg_ident.conf."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from postgres.declaration import Declaration
from postgres.hba_rule import AuthenticationMethod, ConnectionType, Rule, literal_name
from postgres.ident import IdentMapping
from postgres.identifiers import MAINTENANCE_DATABASE, SUPERUSER, database_name_problems, role_name_problems
from postgres.networks import everywhere_problems, network_problems, parse_network

MACHINE_MAP = "machine"
"""The map of pg_ident.conf that the machine writes itself: its lines name operating-system users."""

COMMON_NAME_MAP = "common-name"
"""The map of pg_ident.conf for the roles whose certificates have a common name of their own."""


def hba_rules(declaration: Declaration, administrator_networks: Sequence[str] = ()) -> list[Rule]:
    """The rules of a self-managed server, in the order in which PostgreSQL must read them.

    Local peer lines for the superuser and the administrator; then the superuser and replication are
    rejected; then one line per role and network lets the role in by certificate over TLS, by the map of
    `ident_mappings` where its common name is declared; then everything else is rejected, so that clients get
    a clear error.

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
    mapped = {role for role, _ in declaration.common_names}
    for role in sorted(declaration.roles, key=lambda role: role.name):
        options = (("map", COMMON_NAME_MAP),) if role.name in mapped else ()
        rules += _certificate(role.name, role.databases, role.networks, options)
    rules += [
        _reject(ConnectionType.HOSTGSSENC, "all", "all", "nobody with GSS encryption"),
        _reject(ConnectionType.HOSTNOSSL, "all", "all", "nobody without TLS"),
        _reject(ConnectionType.HOST, "all", "all", "nobody else"),
    ]
    return rules


def ident_mappings(declaration: Declaration) -> list[IdentMapping]:
    """The lines of `COMMON_NAME_MAP`: each role's common name, and its own name as for every other role.

    A role's own name stays valid, so that clients may fetch the other certificate when they like. It gives
    nothing to anybody: no role may have the name of another as common name.
    """
    return [
        IdentMapping(map_name=COMMON_NAME_MAP, system_user=name, database_user=role)
        for role, common_name in sorted(declaration.common_names)
        for name in (role, common_name)
    ]


def common_name_problems(name: str) -> list[str]:
    """Why a role's certificate must not have the common name `name`; its length is X.509's affair.

    PostgreSQL compares it byte by byte with the system user of a line of pg_ident.conf.
    """
    problems: list[str] = []
    if name.startswith("/"):
        problems.append("begins with '/', which means a regular expression in pg_ident.conf; choose another")
    if not unicodedata.is_normalized("NFC", name):
        problems.append("is not in Unicode normal form C, so that a certificate could have other bytes")
    return problems


def claim_problems(
    common_names: Iterable[tuple[str, str]], holders: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Roles whose common name belongs to somebody else, and why.

    Args:
        common_names: Roles and common names.
        holders: Names that certificates may have by themselves, and who holds each, for the message.
    """
    earlier: dict[str, str] = {}
    for role, name in common_names:
        if name == role:
            yield role, "is the role's own name, which it has anyway; remove it"
        elif name in holders:
            yield (
                role,
                f"is the name of {holders[name]}, whose certificate would log in as {role}; choose another",
            )
        elif (other := earlier.setdefault(name, role)) != role:
            yield role, f"is the common name of role {other} already; a certificate logs in as one role"


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
    holders = {SUPERUSER: "the superuser", declaration.administrator: "the administrator"}
    holders |= {name: f"role {name}" for name in names}
    problems += [
        f"role {role!r}: its common name {problem}"
        for role, problem in claim_problems(declaration.common_names, holders)
    ]
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


def _certificate(
    role: str,
    databases: Iterable[str],
    networks: Iterable[str],
    options: tuple[tuple[str, str], ...] = (),
) -> list[Rule]:
    return [
        Rule(
            type=ConnectionType.HOSTSSL,
            databases=tuple(literal_name(database) for database in sorted(set(databases))),
            users=(literal_name(role),),
            address=str(network),
            method=AuthenticationMethod.CERT,
            options=options,
        )
        for network in sorted(
            {parse_network(network) for network in networks}, key=lambda network: (network.version, network)
        )
    ]
