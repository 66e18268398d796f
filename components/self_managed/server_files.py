"""The text files of a self-managed server's desired state. Pure: `postgres/` renders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pgpasswordless.connections import Protocol
from postgres.access import access_problems, hba_rules
from postgres.declaration import Declaration
from postgres.hba import render_hba
from postgres.ident import render_ident
from postgres.server_settings import render_postgresql_conf, server_settings


def server_files(
    *,
    major: int,
    port: int,
    minimum_protocol: Protocol,
    extra_settings: Mapping[str, str],
    declaration: Declaration,
    node_declares: bool,
    administrator_networks: Sequence[str],
) -> dict[str, str]:
    """Texts of `postgresql.conf`, `pg_hba.conf`, `pg_ident.conf` and `roles.json`.

    Args:
        major: Major release of PostgreSQL.
        port: TCP port.
        minimum_protocol: Lowest TLS version.
        extra_settings: Settings of the user's own.
        declaration: Administrator, databases, and roles with their networks and grants.
        node_declares: Whether the node brings them about. Otherwise it makes the administrator only, and
            whoever logs in as that makes the rest.
        administrator_networks: From where the administrator logs in; nowhere, if the node declares.

    Raises:
        ValueError: A role could not be let in; every problem is named.
    """
    remote = () if node_declares else tuple(administrator_networks)
    if problems := access_problems(declaration, remote):
        raise ValueError("declaration: " + "; ".join(problems))
    rules = hba_rules(declaration, remote)
    carried_out = declaration if node_declares else replace(declaration, databases=(), roles=())
    return {
        "postgresql.conf": render_postgresql_conf(
            server_settings(major, port, minimum_protocol, extra_settings)
        ),
        "pg_hba.conf": render_hba(rules, major),
        # A certificate's CN is the role's name, so certificate logins need no map.
        "pg_ident.conf": render_ident([], major),
        "roles.json": carried_out.to_json(),
    }
