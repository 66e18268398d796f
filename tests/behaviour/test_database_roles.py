"""One declaration of databases, roles and grants; the same catalogue, whoever carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.behaviour.conftest import RunningSandbox, discard, make_sandbox

pytestmark = pytest.mark.sandbox

CATALOGUE = {
    "roles": """
        SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
               rolconnlimit, rolbypassrls, rolconfig
        FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1""",
    "memberships": """
        SELECT roleid::regrole::text, member::regrole::text, admin_option
        FROM pg_auth_members WHERE member::regrole::text !~ '^pg_' ORDER BY 1, 2, 3""",
    "databases": """
        SELECT datname, datdba::regrole::text, datconnlimit,
               (SELECT array_agg(item::text ORDER BY item::text) FROM unnest(datacl) AS item)
        FROM pg_database WHERE datname NOT LIKE 'template%' ORDER BY 1""",
    "schemas": """
        SELECT nspname, nspowner::regrole::text,
               (SELECT array_agg(item::text ORDER BY item::text) FROM unnest(nspacl) AS item)
        FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1""",
    "default privileges": """
        SELECT defaclrole::regrole::text, defaclnamespace::regnamespace::text, defaclobjtype::text,
               (SELECT array_agg(item::text ORDER BY item::text) FROM unnest(defaclacl) AS item)
        FROM pg_default_acl ORDER BY 1, 2, 3""",
    "extensions": "SELECT extname, extnamespace::regnamespace::text FROM pg_extension ORDER BY 1",
}


def catalogue(sandbox: RunningSandbox) -> dict[str, list[Any]]:
    """What the server's catalogue says of everything that the declaration is about."""
    with sandbox.login("app_user", sandbox.client_files("app_user")) as connection:
        return {name: connection.execute(query.encode()).fetchall() for name, query in CATALOGUE.items()}


@pytest.fixture(scope="module")
def by_provider() -> Iterator[RunningSandbox]:
    """A sandbox whose roles pulumi-postgresql makes."""
    sandbox = make_sandbox(17)
    sandbox.edit(
        lambda settings: settings.update(
            databaseRoles={"through": "provider", "administratorNetworks": ["127.0.0.1/32", "::1/128"]}
        )
    )
    try:
        sandbox.deployed()
        yield sandbox
    finally:
        discard(sandbox)


def test_node_and_provider_end_with_the_same_catalogue(
    changing_sandbox: RunningSandbox, by_provider: RunningSandbox
) -> None:
    ours = catalogue(changing_sandbox)
    assert [row[0] for row in ours["roles"]] >= ["app_readonly", "app_user"]
    assert catalogue(by_provider) == ours


def test_the_provider_changes_nothing_the_second_time(by_provider: RunningSandbox) -> None:
    assert "unchanged" in by_provider.deployed().stdout
