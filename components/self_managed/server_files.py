"""The text files of a self-managed server's desired state. Pure: `postgres/` renders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pgpasswordless.connections import Protocol
from postgres.access import RoleAccess, connection_plan_problems, hba_rules
from postgres.hba import render_hba
from postgres.ident import render_ident
from postgres.roles import Declaration
from postgres.server_settings import render_postgresql_conf, server_settings


@dataclass(frozen=True, kw_only=True)
class Login:
    """From where a role logs in, and who may read the certificate and key it does it with.

    Attributes:
        networks: Networks in CIDR form.
        secret_readers: ARNs of the roles and users that may read its identity secret.
    """

    networks: tuple[str, ...]
    secret_readers: tuple[str, ...] = ()


def server_files(
    *,
    major: int,
    port: int,
    minimum_protocol: Protocol,
    extra_settings: Mapping[str, str],
    declaration: Declaration,
    node_declares: bool,
    logins: Mapping[str, Login],
    administrator_networks: Sequence[str],
) -> dict[str, str]:
    """Texts of `postgresql.conf`, `pg_hba.conf`, `pg_ident.conf` and `roles.json`.

    Args:
        major: Major release of PostgreSQL.
        port: TCP port.
        minimum_protocol: Lowest TLS version.
        extra_settings: Settings of the user's own.
        declaration: Administrator, databases, roles and grants.
        node_declares: Whether the node brings them about. Otherwise it makes the administrator only, and
            whoever logs in as that makes the rest.
        logins: From where each role logs in.
        administrator_networks: From where the administrator logs in; nowhere, if the node declares.

    Raises:
        ValueError: Declaration and logins do not fit together; every problem is named.
    """
    accesses = [
        RoleAccess(role=role.name, databases=tuple(role.databases), networks=logins[role.name].networks)
        for role in declaration.roles
    ]
    remote = () if node_declares else tuple(administrator_networks)
    problems = connection_plan_problems(declaration, accesses, remote)
    if problems:
        raise ValueError("roles and logins do not fit together: " + "; ".join(problems))
    rules = hba_rules(
        declaration.administrator,
        accesses,
        remote,
        databases=[database.name for database in declaration.databases],
    )
    told = declaration if node_declares else replace(declaration, databases=(), roles=())
    return {
        "postgresql.conf": render_postgresql_conf(
            server_settings(major, port, minimum_protocol, extra_settings)
        ),
        "pg_hba.conf": render_hba(rules, major),
        # A certificate's CN is the role's name, so certificate logins need no map.
        "pg_ident.conf": render_ident([], major),
        "roles.json": told.to_json(),
    }
