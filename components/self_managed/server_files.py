"""The text files of a self-managed server's desired state. Pure: `postgres/` renders them."""

from __future__ import annotations

from dataclasses import replace

from postgres.access import access_problems, hba_rules, ident_mappings
from postgres.hba_rendering import render_hba
from postgres.ident import render_ident
from postgres.postgresql_conf import render_postgresql_conf
from postgres.server_settings import server_settings
from postgres.tls_groups import DEFAULT_GROUPS
from settings import SelfManaged


def server_files(settings: SelfManaged) -> dict[str, str]:
    """Texts of `postgresql.conf`, `pg_hba.conf`, `pg_ident.conf` and `roles.json`.

    Where pulumi-postgresql makes databases and roles, the node makes the administrator only, and the
    administrator may log in from its networks.

    Raises:
        ValueError: A role could not be let in, or the machine would refuse a file; every problem is named.
    """
    # It reads certificates too, with a library that takes long to import.
    from node.validation import text_problems

    major, declaration = settings.major, settings.declaration
    node_declares = settings.database_roles.through == "node"
    remote = () if node_declares else settings.database_roles.administrator_networks
    if problems := access_problems(declaration, remote):
        raise ValueError("declaration: " + "; ".join(problems))
    rules = hba_rules(declaration, remote)
    carried_out = declaration if node_declares else replace(declaration, databases=(), roles=())
    texts = {
        "postgresql.conf": render_postgresql_conf(
            server_settings(
                major,
                settings.port,
                settings.minimum_protocol,
                settings.further_settings,
                settings.tls_groups or DEFAULT_GROUPS,
            )
        ),
        "pg_hba.conf": render_hba(rules, major),
        "pg_ident.conf": render_ident(ident_mappings(declaration), major),
        "roles.json": carried_out.to_json(),
    }
    if problems := text_problems(texts, major):
        raise ValueError("; ".join(problems))
    return texts
