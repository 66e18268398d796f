"""The postgresql stand-in through the protocol, against a real server."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psycopg
import pytest

from emulator.core.properties import UNKNOWN, Secret
from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from emulator.postgresql import PostgresqlProvider

ROLE = "postgresql:index/role:Role"
DATABASE = "postgresql:index/database:Database"
SCHEMA = "postgresql:index/schema:Schema"
GRANT = "postgresql:index/grant:Grant"
MEMBERSHIP = "postgresql:index/grantRole:GrantRole"
DEFAULTS = "postgresql:index/defaultPrivileges:DefaultPrivileges"
EXTENSION = "postgresql:index/extension:Extension"
_numbers = itertools.count(1)


@pytest.fixture
def name() -> str:
    """A name of this test's own."""
    return f"t{next(_numbers)}"


@pytest.fixture
def server(serve: Callable[[Provider], ProviderServer]) -> ProviderServer:
    return serve(PostgresqlProvider())


@pytest.fixture
def superuser(server: ProviderServer, connect: Callable[..., Any], postgresql_server: Any) -> Any:
    return connect(server, postgresql_server.configuration())


@pytest.fixture
def administrator(
    server: ProviderServer, connect: Callable[..., Any], postgresql_server: Any, name: str
) -> Any:
    """A client of a non-superuser administrator named `<name>_admin`."""
    role = f"{name}_admin"
    postgresql_server.rows(f"CREATE ROLE {role} LOGIN CREATEROLE CREATEDB")
    postgresql_server.rows(f"ALTER ROLE {role} SET createrole_self_grant = 'set, inherit'")
    return connect(server, postgresql_server.configuration(role))


@pytest.fixture
def plain_administrator(
    administrator: Any, server: ProviderServer, connect: Callable[..., Any], postgresql_server: Any, name: str
) -> Any:
    """The same administrator by a provider that knows it is no superuser."""
    return connect(server, postgresql_server.configuration(f"{name}_admin", superuser="false"))


class Deployed:
    """A resource created through a client, for tests that go on with it."""

    def __init__(self, client: Any, token: str, inputs: dict[str, Any]) -> None:
        self.client, self.token, self.inputs = client, token, inputs
        self.id, self.outputs = client.create(token, inputs)

    def changes(self, **inputs: Any) -> list[str]:
        return list(self.diff(**inputs).diffs)

    def diff(self, **inputs: Any) -> Any:
        return self.client.diff(self.token, self.inputs, self.outputs, {**self.inputs, **inputs})

    def update(self, **inputs: Any) -> None:
        new = {name: value for name, value in {**self.inputs, **inputs}.items() if value is not None}
        self.outputs = self.client.update(self.token, self.id, self.inputs, self.outputs, new)
        self.inputs = new

    def refresh(self) -> bool:
        found, outputs = self.client.read(self.token, self.id, self.inputs, self.outputs)
        if found:
            self.outputs = outputs
        return bool(found)

    def delete(self) -> None:
        self.client.delete(self.token, self.id, self.inputs, self.outputs)


def test_a_role_has_the_real_defaults_and_does_not_drift(
    superuser: Any, postgresql_server: Any, name: str
) -> None:
    role = Deployed(superuser, ROLE, {"name": name, "login": True, "connectionLimit": 20})
    assert role.id == name
    assert role.outputs["validUntil"] == "infinity"
    assert role.outputs["roles"] == []
    assert role.changes() == []
    assert role.refresh()
    assert role.changes() == []
    query = "SELECT rolcanlogin, rolconnlimit, rolsuper, rolinherit, rolvaliduntil::text FROM pg_roles"
    assert postgresql_server.rows(f"{query} WHERE rolname = '{name}'") == [
        (True, 20, False, True, "infinity")
    ]
    role.update(connectionLimit=5, statementTimeout=1000, searchPaths=["app", "public"], createDatabase=True)
    assert role.changes() == []
    assert role.refresh()
    assert (role.outputs["statementTimeout"], role.outputs["searchPaths"]) == (1000, ["app", "public"])
    role.update(statementTimeout=None, searchPaths=None, name=f"{name}_new")
    assert postgresql_server.rows("SELECT rolconfig FROM pg_roles WHERE rolname = %s", f"{name}_new") == [
        (None,)
    ]
    role.id = f"{name}_new"
    role.delete()
    role.delete()
    assert not role.refresh()


def test_a_preview_changes_nothing(superuser: Any, postgresql_server: Any, name: str) -> None:
    resource_id, outputs = superuser.create(ROLE, {"name": name}, preview=True)
    assert resource_id == ""
    assert outputs["connectionLimit"] == -1
    _, outputs = superuser.create(DATABASE, {"name": UNKNOWN}, preview=True)
    assert outputs["owner"] is UNKNOWN
    assert postgresql_server.rows("SELECT 1 FROM pg_roles WHERE rolname = %s", name) == []


def test_a_role_beside_a_membership_fights_it_after_a_refresh(superuser: Any, name: str) -> None:
    superuser.create(ROLE, {"name": f"{name}_group"})
    role = Deployed(superuser, ROLE, {"name": name})
    member = Deployed(superuser, MEMBERSHIP, {"role": name, "grantRole": f"{name}_group"})
    assert member.id == f"{name}_{name}_group_false"
    assert role.changes() == []
    role.refresh()
    assert role.changes() == ["roles"]
    role.update()
    assert not member.refresh()
    named = Deployed(superuser, ROLE, {"name": f"{name}_named", "roles": [f"{name}_group"]})
    named.refresh()
    assert named.changes() == []


def test_replacing_a_membership_or_default_privileges_ends_revoked(
    superuser: Any, postgresql_server: Any, name: str
) -> None:
    for role in (name, f"{name}_group"):
        superuser.create(ROLE, {"name": role})
    old = Deployed(superuser, MEMBERSHIP, {"role": name, "grantRole": f"{name}_group"})
    difference = old.diff(withAdminOption=True)
    assert (list(difference.replaces), difference.deleteBeforeReplace) == (["withAdminOption"], False)
    new = Deployed(superuser, MEMBERSHIP, {**old.inputs, "withAdminOption": True})
    assert new.refresh()
    old.delete()
    assert not new.refresh()

    inputs: dict[str, Any] = {"role": name, "database": "postgres", "owner": "postgres", "schema": "public"}
    inputs |= {"objectType": "table", "privileges": ["SELECT"]}
    defaults = Deployed(superuser, DEFAULTS, inputs)
    assert defaults.id == f"{name}_postgres_public_postgres_table"
    assert not defaults.diff(withGrantOption=True).deleteBeforeReplace
    replacement = Deployed(superuser, DEFAULTS, {**inputs, "withGrantOption": True})
    defaults.delete()
    assert not replacement.refresh()


def test_default_privileges_apply_to_new_tables(superuser: Any, postgresql_server: Any, name: str) -> None:
    superuser.create(ROLE, {"name": name})
    superuser.create(SCHEMA, {"name": name})
    inputs: dict[str, Any] = {"role": name, "database": "postgres", "owner": "postgres", "schema": name}
    inputs |= {"objectType": "table", "privileges": ["SELECT", "INSERT"]}
    defaults = Deployed(superuser, DEFAULTS, inputs)
    postgresql_server.rows(f"CREATE TABLE {name}.t (x int)")
    query = "SELECT has_table_privilege(%s, %s, 'INSERT')"
    assert postgresql_server.rows(query, name, f"{name}.t") == [(True,)]
    assert defaults.refresh()
    assert defaults.changes() == []
    defaults.update(privileges=["SELECT"])
    defaults.refresh()
    assert defaults.outputs["privileges"] == ["SELECT"]
    with pytest.raises(grpc.RpcError, match="cannot specify `schema` when `object_type` is `schema`"):
        superuser.create(DEFAULTS, {**inputs, "objectType": "schema"})


def test_grants_on_every_kind_of_object(superuser: Any, postgresql_server: Any, name: str) -> None:
    superuser.create(ROLE, {"name": name})
    schema = Deployed(superuser, SCHEMA, {"name": name, "dropCascade": True})
    assert schema.id == f"postgres.{name}"
    postgresql_server.rows(f"CREATE TABLE {name}.one (x serial)")
    postgresql_server.rows(f"CREATE FUNCTION {name}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    common = {"role": name, "database": "postgres"}
    wanted = [
        {"objectType": "database", "privileges": ["CONNECT", "CREATE"]},
        {"objectType": "schema", "schema": name, "privileges": ["USAGE"]},
        {"objectType": "table", "schema": name, "privileges": ["SELECT", "UPDATE"]},
        {"objectType": "table", "schema": name, "objects": ["one"], "privileges": ["ALL"]},
        {"objectType": "sequence", "schema": name, "privileges": ["ALL"]},
        {"objectType": "function", "schema": name, "privileges": ["EXECUTE"]},
    ]
    grants = []
    for inputs in wanted:
        grant = Deployed(superuser, GRANT, {**common, **inputs})
        assert grant.changes() == [], inputs
        assert grant.refresh()
        assert grant.changes() == [], inputs
        assert grant.diff(withGrantOption=True).deleteBeforeReplace
        grants.append(grant)
    assert grants[0].id == f"{name}_postgres_database"
    assert grants[3].id == f"{name}_postgres_{name}_table_one"
    grants[1].update(privileges=["CREATE"])
    query = "SELECT has_schema_privilege(%s, %s, 'USAGE')"
    assert postgresql_server.rows(query, name, name) == [(False,)]
    postgresql_server.rows(f"CREATE TABLE {name}.two (x int)")
    assert grants[2].refresh()
    assert grants[2].changes() == ["privileges"]
    for grant in grants:
        grant.delete()
    schema.delete()
    superuser.delete(ROLE, name, {"name": name}, {})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"objectType": "table", "privileges": ["SELECT"]}, "'schema' is mandatory"),
        ({"objectType": "schema", "schema": "public", "privileges": ["usage"]}, "usage is not an allowed"),
        ({"objectType": "schema", "schema": "none", "privileges": ["USAGE"]}, "could not find schema 'none'"),
        ({"objectType": "database", "objects": ["x"], "privileges": ["ALL"]}, "cannot specify `objects`"),
        (
            {"objectType": "database", "role": "public", "withGrantOption": True, "privileges": ["ALL"]},
            "with_grant_option cannot be true",
        ),
        ({"objectType": "database", "privileges": ["CONNECT"]}, 'pq: role "nobody" does not exist'),
    ],
)
def test_grants_that_are_refused_at_apply(superuser: Any, inputs: dict[str, Any], message: str) -> None:
    full = {"role": "nobody", "database": "postgres", **inputs}
    assert superuser.check(GRANT, full)[1] == []
    superuser.create(GRANT, full, preview=True)
    with pytest.raises(grpc.RpcError) as refused:
        superuser.create(GRANT, full)
    assert message in refused.value.details()  # type: ignore[attr-defined]


def test_arguments_that_are_refused_in_the_preview(superuser: Any) -> None:
    (failure,) = superuser.check(GRANT, {"objectType": "tables"})[1]
    assert failure == (
        "objectType: expected objectType to be one of "
        "['database', 'schema', 'table', 'sequence', 'function', 'procedure', 'routine'], got 'tables'"
    )
    assert superuser.check(ROLE, {"connectionLimit": -2})[1] == [
        "connectionLimit: expected connectionLimit to be at least (-1), got -2"
    ]
    (failure,) = superuser.check(GRANT, {"columns": ["x"]})[1]
    assert failure.startswith("columns: not in this sandbox yet")
    assert superuser.check(ROLE, {}, randomSeed=b"x")[0]["name"].startswith("thing-")


def test_a_database_belongs_to_the_login_unless_told_otherwise(
    administrator: Any, postgresql_server: Any, name: str
) -> None:
    database = Deployed(administrator, DATABASE, {"name": name})
    assert (database.outputs["owner"], database.outputs["encoding"]) == (f"{name}_admin", "UTF8")
    assert database.changes() == []
    assert database.refresh()
    assert database.changes() == []
    assert database.changes(lcCollate="de_DE.UTF-8") == ["lcCollate"]
    extension = Deployed(administrator, EXTENSION, {"name": "pgcrypto", "database": name})
    assert extension.id == f"{name}.pgcrypto"
    assert extension.changes() == []
    assert extension.refresh()
    extension.delete()
    assert not extension.refresh()
    database.update(connectionLimit=7, allowConnections=False)
    query = "SELECT datconnlimit, datallowconn FROM pg_database WHERE datname = %s"
    assert postgresql_server.rows(query, name) == [(7, False)]
    database.update(allowConnections=True)
    with psycopg.connect(
        host="127.0.0.1", port=postgresql_server.port, user=f"{name}_admin", dbname=name, autocommit=True
    ):
        database.delete()
    assert not database.refresh()


def test_a_non_superuser_manages_its_own_roles_and_schemas(
    administrator: Any, postgresql_server: Any, name: str
) -> None:
    Deployed(administrator, DATABASE, {"name": name})
    role = Deployed(administrator, ROLE, {"name": f"{name}_app", "login": True})
    owner = Deployed(administrator, ROLE, {"name": f"{name}_owner"})
    schema = Deployed(administrator, SCHEMA, {"name": "app", "database": name, "owner": f"{name}_owner"})
    assert schema.outputs["owner"] == f"{name}_owner"
    common = {"role": f"{name}_app", "database": name}
    grants = [
        Deployed(administrator, GRANT, {**common, "objectType": "database", "privileges": ["CONNECT"]}),
        Deployed(
            administrator,
            GRANT,
            {**common, "objectType": "schema", "schema": "app", "privileges": ["USAGE"]},
        ),
        Deployed(
            administrator,
            GRANT,
            {**common, "objectType": "table", "schema": "public", "privileges": ["SELECT"]},
        ),
    ]
    assert [grant.changes() for grant in grants] == [[], [], []]
    inputs = {**common, "owner": f"{name}_owner", "schema": "app", "objectType": "table"}
    defaults = Deployed(administrator, DEFAULTS, {**inputs, "privileges": ["SELECT"]})
    assert defaults.refresh()
    for resource in (defaults, *grants, schema, role, owner):
        resource.delete()
    assert postgresql_server.rows(
        "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", f"{name}_"
    ) == [(f"{name}_admin",)]


def test_grants_on_anothers_database_silently_do_nothing(
    administrator: Any, superuser: Any, postgresql_server: Any, name: str
) -> None:
    Deployed(superuser, ROLE, {"name": f"{name}_owner"})
    Deployed(superuser, DATABASE, {"name": name, "owner": f"{name}_owner"})
    Deployed(administrator, ROLE, {"name": f"{name}_app"})
    inputs = {"role": f"{name}_app", "database": name, "objectType": "database"}
    grant = Deployed(administrator, GRANT, {**inputs, "privileges": ["CONNECT"]})
    assert grant.outputs["privileges"] == []
    assert grant.changes() == ["privileges"]
    grant.update()
    assert grant.changes() == ["privileges"]
    with pytest.raises(grpc.RpcError, match="permission denied to create extension"):
        administrator.create(EXTENSION, {"name": "pgcrypto", "database": name})


def test_destroying_in_the_wrong_order_is_refused_by_the_server(
    superuser: Any, postgresql_server: Any, name: str
) -> None:
    role = Deployed(superuser, ROLE, {"name": name})
    schema = Deployed(superuser, SCHEMA, {"name": name, "database": "template1"})
    inputs = {"role": name, "database": "template1", "objectType": "schema", "schema": name}
    grant = Deployed(superuser, GRANT, {**inputs, "privileges": ["USAGE"]})
    with pytest.raises(grpc.RpcError, match="cannot be dropped because some objects depend on it"):
        role.delete()
    postgresql_server.rows(f"CREATE TABLE {name}.t (x int)", database="template1")
    with pytest.raises(grpc.RpcError, match="cannot drop schema"):
        schema.delete()
    grant.delete()
    role.delete()
    schema.update(dropCascade=True)
    schema.delete()


def test_passwords_as_the_real_provider_treats_them(
    superuser: Any, administrator: Any, plain_administrator: Any, postgresql_server: Any, name: str
) -> None:
    def stored(role: str) -> str | None:
        return postgresql_server.rows("SELECT passwd FROM pg_shadow WHERE usename = %s", role)[0][0]

    role = Deployed(superuser, ROLE, {"name": name, "login": True, "password": Secret("NULL")})
    assert role.outputs["password"] == Secret("NULL")
    assert stored(name) is None
    role.update(password=Secret("one"))
    first = stored(name)
    role.update(password=None)
    assert stored(name) == first
    role.update(password=Secret("NULL"))
    assert stored(name) not in (None, first)

    inputs = {"name": f"{name}_app", "login": True}
    Deployed(administrator, ROLE, inputs)
    with pytest.raises(grpc.RpcError, match="is not a SUPERUSER"):
        administrator.create(ROLE, {"name": f"{name}_other", "login": True, "password": Secret("p")})
    assert stored(f"{name}_other") is not None
    plain_administrator.create(ROLE, {"name": f"{name}_third", "login": True, "password": Secret("p")})


def test_traps_of_valid_until_and_statement_timeout(
    superuser: Any, postgresql_server: Any, name: str
) -> None:
    role = Deployed(superuser, ROLE, {"name": name, "validUntil": "2027-01-01T00:00:00Z"})
    role.refresh()
    assert role.changes() == ["validUntil"]
    role.update(validUntil=role.outputs["validUntil"])
    role.refresh()
    assert role.changes() == []
    postgresql_server.rows(f"ALTER ROLE {name} SET statement_timeout = '30s'")
    with pytest.raises(grpc.RpcError, match=r'parsing \\?"30s\\?": invalid syntax'):
        role.refresh()


def test_parallel_grants_of_a_superuser_may_race_but_never_hang(
    superuser: Any, postgresql_server: Any, name: str
) -> None:
    superuser.create(SCHEMA, {"name": name})
    for number in range(20):
        postgresql_server.rows(f"CREATE TABLE {name}.t{number} (x int)")
    for number in range(5):
        superuser.create(ROLE, {"name": f"{name}_{number}"})

    def grant(number: int) -> str | None:
        inputs = {"role": f"{name}_{number}", "database": "postgres", "schema": name, "objectType": "table"}
        try:
            superuser.create(GRANT, {**inputs, "privileges": ["SELECT"]})
        except grpc.RpcError as error:
            return error.details()  # type: ignore[attr-defined]
        return None

    with ThreadPoolExecutor(5) as pool:
        assert set(pool.map(grant, range(5))) <= {None, "pq: tuple concurrently updated"}
    assert [grant(number) for number in range(5)] == [None] * 5


def test_a_database_may_be_imported(superuser: Any, name: str) -> None:
    superuser.create(DATABASE, {"name": name})
    found, outputs = superuser.read(DATABASE, name, {}, {})
    assert (found, outputs["name"], outputs["owner"]) == (name, name, "postgres")
    assert superuser.read(DATABASE, "nothing", {}, {}) == ("", {})


def test_schemas_change_name_and_owner(superuser: Any, name: str) -> None:
    superuser.create(ROLE, {"name": f"{name}_owner"})
    schema = Deployed(superuser, SCHEMA, {"name": name})
    schema.update(name=f"{name}_new", owner=f"{name}_owner")
    assert schema.outputs["owner"] == f"{name}_owner"
    assert schema.changes() == []
    Deployed(superuser, SCHEMA, {"name": f"{name}_new", "owner": "postgres"})
    schema.id = f"postgres.{name}_new"
    schema.refresh()
    assert schema.changes() == ["owner"]
