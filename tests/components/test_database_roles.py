from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest

from components.database_roles import DatabaseRolesArgs
from postgres.declaration import Database, Grant, Role
from postgres.roles import statements
from tests.components.examples import DECLARATION, database_roles
from tests.recording_monitor import ABSENT, Recording, plain, record

ROLE = "postgresql:index/role:Role"
DATABASE = "postgresql:index/database:Database"
SCHEMA = "postgresql:index/schema:Schema"
GRANT = "postgresql:index/grant:Grant"
DEFAULTS = "postgresql:index/defaultPrivileges:DefaultPrivileges"
GRANT_ROLE = "postgresql:index/grantRole:GrantRole"
EXTENSION = "postgresql:index/extension:Extension"


@functools.cache
def usual() -> Recording:
    return record(database_roles)


def granted(recording: Recording, token: str) -> set[tuple[Any, ...]]:
    return {
        (
            each.inputs["role"],
            each.inputs["objectType"],
            each.inputs.get("schema"),
            tuple(each.inputs["privileges"]),
        )
        for each in recording.of_type(token)
    }


def test_roles_databases_and_extensions() -> None:
    recording = usual()
    recording.has_properties(
        ROLE,
        "roles-app_user",
        name="app_user",
        login=True,
        inherit=True,
        createDatabase=False,
        createRole=False,
        connectionLimit=20,
        password=ABSENT,
        superuser=ABSENT,
        roles=ABSENT,
    )
    recording.has_properties(ROLE, "roles-reporting", connectionLimit=-1)
    database = recording.has_properties(
        DATABASE, name="app", template="template0", encoding="UTF8", owner=ABSENT, lcCollate=ABSENT
    )
    assert database.request.retainOnDelete is True
    assert {"template", "lcCollate", "lcCtype", "encoding"} <= set(database.request.ignoreChanges)
    assert {each.urn for each in recording.of_type(ROLE)} <= set(database.request.dependencies)
    extension = recording.has_properties(EXTENSION, name="citext", schema=ABSENT)
    schema = recording.has_properties(SCHEMA, name="jobs", owner=ABSENT)
    assert extension.request.retainOnDelete is True
    assert schema.request.retainOnDelete is True
    assert recording.of_type(GRANT_ROLE) == []


def test_the_grants_are_those_of_the_machine() -> None:
    recording = usual()
    assert granted(recording, GRANT) == {
        ("public", "database", None, ()),
        ("app_user", "database", None, ("CONNECT", "TEMPORARY")),
        ("app_user", "schema", "public", ("USAGE",)),
        ("app_user", "table", "public", ("SELECT", "INSERT")),
        ("app_user", "sequence", "jobs", ("USAGE",)),
        ("reporting", "database", None, ("CONNECT",)),
    }
    assert granted(recording, DEFAULTS) == {
        ("app_user", "table", "public", ("SELECT", "INSERT")),
        ("app_user", "sequence", "jobs", ("USAGE",)),
    }
    for each in recording.of_type(DEFAULTS):
        assert each.inputs["owner"] == "pgpl_admin"
    purposes = [step.purpose for step in statements(DECLARATION, None, 17)]
    grants = [purpose for purpose in purposes if purpose.startswith("grant ")]
    later = [purpose for purpose in grants if " later " in purpose]
    assert len(later) == len(recording.of_type(DEFAULTS))
    taken_from_public = 1
    assert len(grants) - len(later) == len(recording.of_type(GRANT)) - taken_from_public


def test_grants_of_a_database_are_made_one_after_the_other() -> None:
    recording = usual()
    chain = [*recording.of_type(GRANT), *recording.of_type(DEFAULTS)]
    urns = {each.urn for each in chain}
    before = {each.urn: set(each.request.dependencies) & urns for each in chain}
    assert sorted(map(len, before.values())) == [0, *[1] * (len(chain) - 1)]
    assert len({urn for waits in before.values() for urn in waits}) == len(chain) - 1
    for each in chain:
        assert each.request.deleteBeforeReplace is True


def test_grants_wait_for_the_extensions_of_their_database() -> None:
    """An extension brings functions and tables into the schema that is granted on."""
    recording = usual()
    extensions = {each.urn for each in recording.of_type(EXTENSION)}
    assert extensions
    first = recording.one(GRANT, "roles-app.database.public")
    assert extensions <= set(first.request.dependencies)


@pytest.mark.parametrize(
    ("extensions", "schema", "ignored"),
    [(("citext",), "public", ["privileges"]), (("citext",), "jobs", []), ((), "public", [])],
)
def test_functions_that_an_extension_brought_are_nobody_s_to_grant(
    extensions: tuple[str, ...], schema: str, ignored: list[str]
) -> None:
    """They belong to a superuser, and the provider would see their privileges missing for ever."""
    (database,) = DECLARATION.databases
    functions = Grant(database="app", schema=schema, on="functions", privileges=("execute",))
    tables = Grant(database="app", schema=schema, on="tables", privileges=("select",))
    declaration = replace(
        DECLARATION,
        databases=(replace(database, extensions=extensions),),
        roles=(replace(DECLARATION.roles[0], grants=(functions, tables)),),
    )
    recording = record(lambda: database_roles(declaration=declaration))
    on = {each.inputs["objectType"]: list(each.request.ignoreChanges) for each in recording.of_type(GRANT)}
    assert on["function"] == ignored
    assert on["table"] == []
    assert not [each for each in recording.of_type(DEFAULTS) if each.request.ignoreChanges]


def test_names_are_given_by_their_resources() -> None:
    recording = usual()
    role = recording.one(ROLE, "roles-app_user").urn
    database = recording.one(DATABASE).urn
    schema = recording.one(SCHEMA).urn
    for each in recording.of_type(GRANT):
        depends = each.request.propertyDependencies
        assert list(depends["database"].urns) == [database]
        if plain(each.inputs)["role"] == "app_user":
            assert list(depends["role"].urns) == [role]
        if plain(each.inputs).get("schema") == "jobs":
            assert list(depends["schema"].urns) == [schema]


def test_up_to_15_the_administrator_is_made_a_member() -> None:
    recording = record(lambda: database_roles(major=15))
    memberships = recording.of_type(GRANT_ROLE)
    assert [(each.inputs["role"], each.inputs["grantRole"]) for each in memberships] == [
        ("pgpl_admin", "app_user"),
        ("pgpl_admin", "reporting"),
    ]
    assert all(each.request.deleteBeforeReplace for each in memberships)


def test_on_rds_every_role_logs_in_by_iam_and_the_administrator_is_left_alone() -> None:
    recording = record(lambda: database_roles(platform="rds", major=15))
    assert {each.name: each.inputs["roles"] for each in recording.of_type(ROLE)} == {
        "roles-app_user": ["rds_iam"],
        "roles-reporting": ["rds_iam"],
    }
    # A GrantRole of rds_iam beside them would be taken back by the next update of the role.
    assert {each.inputs["role"] for each in recording.of_type(GRANT_ROLE)} == {"pgpl_admin"}
    assert {each.inputs["grantRole"] for each in recording.of_type(GRANT_ROLE)} == {"app_user", "reporting"}


def test_names_with_hyphens_do_not_collide() -> None:
    roles = tuple(
        Role(
            name=name,
            connection_limit=5,
            databases=("a", "a-b"),
            grants=(
                Grant(database="a", schema="b-c", on="schema", privileges=("usage",)),
                Grant(database="a-b", schema="c", on="schema", privileges=("usage",)),
            ),
        )
        for name in ("r", "c-r")
    )
    declaration = replace(DECLARATION, databases=(Database(name="a"), Database(name="a-b")), roles=roles)
    record(lambda: database_roles(declaration=declaration))


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        (
            replace(DECLARATION, databases=(Database(name="app", extensions=("pgaudit",)),)),
            "the provider is, cannot create extension 'pgaudit'",
        ),
        (replace(DECLARATION, databases=()), "database 'app' is not declared"),
    ],
)
@pytest.mark.parametrize("platform", ["server", "rds"])
def test_refused_declarations(declaration: Any, message: str, platform: Any) -> None:
    with pytest.raises(ValueError, match=message):
        DatabaseRolesArgs(declaration=declaration, major=17, platform=platform)
