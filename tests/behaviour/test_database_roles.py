"""One declaration of databases, roles and grants; the same catalogue, whoever carries it out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviour.conftest import RunningSandbox

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
def by_provider(sandbox_by_provider: RunningSandbox) -> RunningSandbox:
    """A self-managed server whose roles pulumi-postgresql makes."""
    return sandbox_by_provider


def test_node_and_provider_end_with_the_same_catalogue(
    changing_sandbox: RunningSandbox, by_provider: RunningSandbox
) -> None:
    ours = catalogue(changing_sandbox)
    assert [row[0] for row in ours["roles"]] >= ["app_readonly", "app_user"]
    assert catalogue(by_provider) == ours


def test_the_provider_changes_nothing_the_second_time(by_provider: RunningSandbox) -> None:
    """Neither on the self-managed server nor on RDS, which the sandbox has as well."""
    assert set(by_provider.databases) == {"self-managed", "rds"}
    assert "unchanged" in by_provider.deployed().stdout
