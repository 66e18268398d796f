"""The declaration as a document, its problems, and the order of its steps."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postgres.access import access_problems
from postgres.declaration import (
    PRIVILEGES,
    Database,
    Declaration,
    DeclarationError,
    Grant,
    Role,
    declaration_problems,
)
from postgres.role_settings import role_setting_problems, stored_value
from postgres.roles import statements

GRANT = Grant(database="app", schema="public", on="tables", privileges=("select",))
ROLE = Role(name="app_user", connection_limit=20, databases=("app",), grants=(GRANT,))
GOOD = Declaration(administrator="pgpl_admin", databases=(Database(name="app"),), roles=(ROLE,))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
grants = st.builds(
    Grant,
    database=texts,
    schema=st.none() | texts,
    on=st.sampled_from(list(PRIVILEGES)),
    privileges=st.lists(texts, max_size=3).map(tuple),
    objects=st.lists(texts, max_size=2).map(tuple),
    columns=st.lists(texts, max_size=2).map(tuple),
)
role_values = st.builds(
    Role,
    name=texts,
    connection_limit=st.integers(-1, 1000),
    databases=st.lists(texts, max_size=3).map(tuple),
    grants=st.lists(grants, max_size=3).map(tuple),
    member_of=st.lists(texts, max_size=2).map(tuple),
    settings=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
)
declarations = st.builds(
    Declaration,
    administrator=texts,
    databases=st.lists(
        st.builds(Database, name=texts, extensions=st.lists(texts, max_size=2).map(tuple)), max_size=3
    ).map(tuple),
    roles=st.lists(role_values, max_size=3).map(tuple),
    common_names=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
)


def test_what_no_role_has_is_not_in_the_document():
    """Documents and journals of earlier versions are read, and the same declaration is the same bytes."""
    assert set(json.loads(GOOD.to_json())["roles"][0]) == {"name", "connectionLimit", "databases", "grants"}
    declared = replace(GOOD, roles=(replace(ROLE, member_of=("pg_monitor",)),))
    assert json.loads(declared.to_json())["roles"][0]["memberOf"] == ["pg_monitor"]


@pytest.mark.parametrize(
    ("name", "major", "platform", "reason"),
    [
        ("pg_execute_server_program", 17, "server", "run programs"),
        ("pg_write_server_files", 15, "server", "become superusers"),
        ("pg_create_subscription", 17, "server", "log in to other servers"),
        ("pg_maintain", 16, "server", "cannot be declared; allowed: pg_checkpoint, pg_monitor"),
        ("pg_write_all_data", 17, "rds", "(PostgreSQL 17 on RDS)"),
        ("rds_superuser", 17, "rds", "cannot be declared"),
        ("app_owner", 17, "server", "cannot be declared"),
    ],
)
def test_no_membership_lets_a_role_leave_postgresql(name, major, platform, reason):
    declaration = replace(GOOD, roles=(replace(ROLE, member_of=(name,)),))
    (problem,) = declaration_problems(declaration, major, platform)
    assert problem.startswith(f"role 'app_user': membership in '{name}'")
    assert reason in problem


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("statement_timeout", "30s", "30000"),
        ("lock_timeout", "1.5min", "90000"),
        ("idle_session_timeout", "0", "0"),
        ("work_mem", "64MB", "64MB"),
        ("search_path", "app,public", "app, public"),
        ("search_path", '"$user", app', '"$user", app'),
    ],
)
def test_settings_of_roles_have_one_form(name, value, stored):
    assert role_setting_problems(name, value, 15) == []
    assert stored_value(name, value) == stored_value(name, stored) == stored
    assert declaration_problems(replace(GOOD, roles=(replace(ROLE, settings=((name, stored),)),)), 15) == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("statement_timeout", "30", "has no unit"),
        ("statement_timeout", "30 parsecs", "has unit 'parsecs'"),
        ("work_mem", "1kB", "out of range"),
        (
            "transaction_timeout",
            "1s",
            "is no setting that a role may have; allowed: default_transaction_isolat",
        ),
        ("log_statement", "none", "is no setting that a role may have"),
        ("session_preload_libraries", "x", "is no setting that a role may have"),
        ("role", "pgpl_admin", "is no setting that a role may have"),
        ("search_path", "", "is not a list of schemas"),
        ("search_path", "pg_temp, app", "is not a list of schemas"),
        ("search_path", "app; DROP", "is not a list of schemas"),
        ("search_path", "App", "is not a list of schemas"),
    ],
)
def test_settings_that_no_role_may_have(name, value, reason):
    (problem,) = role_setting_problems(name, value, 16)
    assert reason in problem
    if value != "30":
        (problem,) = declaration_problems(
            replace(GOOD, roles=(replace(ROLE, settings=((name, value),)),)), 16
        )
        assert problem.startswith(f"role 'app_user': setting {name} = '{value}' ")


@given(declarations)
def test_the_document_comes_back(declaration):
    assert Declaration.from_json(declaration.to_json()) == declaration


def test_the_document_s_shape():
    assert json.loads(GOOD.to_json()) == {
        "schemaVersion": 1,
        "administrator": "pgpl_admin",
        "databases": [{"name": "app", "extensions": []}],
        "roles": [
            {
                "name": "app_user",
                "connectionLimit": 20,
                "databases": ["app"],
                "grants": [{"database": "app", "schema": "public", "on": "tables", "privileges": ["select"]}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(schemaVersion=2), "schemaVersion 2"),
        (lambda d: d.pop("roles"), "exactly the keys"),
        (lambda d: d.update(more=1), "exactly the keys"),
        (lambda d: d.update(administrator=1), "roles.json.administrator is a int"),
        (lambda d: d["roles"][0].update(connectionLimit=True), "connectionLimit is a bool"),
        (lambda d: d["roles"][0].update(databases=[1]), "must hold strings only"),
        (lambda d: d["roles"][0]["grants"][0].update(on="types"), "on is 'types'"),
        (lambda d: d.update(databases=["app"]), "databases[0] has str"),
    ],
)
def test_documents_of_another_shape_are_refused(change, says):
    document = json.loads(GOOD.to_json())
    change(document)
    with pytest.raises(DeclarationError) as caught:
        Declaration.from_json(json.dumps(document))
    assert says in str(caught.value)
    with pytest.raises(DeclarationError, match="not JSON"):
        Declaration.from_json("{")


def with_grant(**change) -> Declaration:
    return replace(GOOD, roles=(replace(ROLE, grants=(replace(GRANT, **change),)),))


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        (replace(GOOD, administrator="postgres"), "administrator: role name 'postgres'"),
        (replace(GOOD, roles=(ROLE, ROLE)), "role 'app_user' is given twice"),
        (replace(GOOD, databases=(*GOOD.databases, *GOOD.databases)), "database 'app' is given twice"),
        (
            replace(GOOD, databases=(Database(name="app", extensions=("plpython3u",)),)),
            "'plpython3u' is none that a server of our own has",
        ),
        (replace(GOOD, databases=()), "database 'app' is not declared"),
        (replace(GOOD, roles=(replace(ROLE, name="pgpl_admin"),)), "is the administrator"),
        (replace(GOOD, roles=(replace(ROLE, connection_limit=-2),)), "connection limit -2"),
        (with_grant(privileges=("maintain",)), "'maintain' on tables is not one of"),
        (with_grant(privileges=("all",)), "'all' on tables is not one of"),
        (with_grant(privileges=("SELECT",)), "'SELECT' on tables is not one of"),
        (with_grant(privileges=()), "has no privileges"),
        (with_grant(privileges=("select", "select")), "'select' is given twice"),
        (with_grant(schema=None), "names no schema"),
        (with_grant(schema="pg_catalog"), "belongs to PostgreSQL"),
        (with_grant(schema="App"), "upper-case"),
        (with_grant(on="database", privileges=("create",)), "drop the schema"),
        (with_grant(database="other"), "may not connect"),
        (with_grant(columns=("a",)), "columns are those of tables that the grant names"),
        (with_grant(objects=("t",), columns=("a",), privileges=("delete",)), "'delete' on columns is not"),
        (with_grant(objects=("t",), columns=("a", "a")), "column 'a' is given twice"),
        (with_grant(objects=("t",), columns=("A",)), "column 'A' has upper-case letters"),
    ],
)
def test_problems_of_a_declaration(declaration, says):
    assert any(says in problem for problem in declaration_problems(declaration, 16))
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        statements(declaration, None, 16)
    assert says in str(caught.value)


def test_a_good_declaration_has_no_problem():
    assert declaration_problems(GOOD, 15) == []
    assert declaration_problems(with_grant(privileges=("select", "maintain")), 17) == []


def test_the_order_of_a_declaration_does_not_matter():
    roles = tuple(replace(ROLE, name=name) for name in ("a", "b", "c"))
    databases = (Database(name="app", extensions=("citext", "hstore")), Database(name="other"))
    one = replace(GOOD, roles=roles, databases=databases)
    other = replace(
        GOOD,
        roles=roles[::-1],
        databases=(databases[1], Database(name="app", extensions=("hstore", "citext"))),
    )
    assert statements(one, None, 17) == statements(other, None, 17)


def test_another_administrator_is_refused():
    with pytest.raises(ValueError, match="keep the name"):
        statements(replace(GOOD, administrator="other_admin"), GOOD, 17)


@pytest.mark.parametrize("major", [15, 17])
def test_the_superuser_only_does_what_the_administrator_cannot(major):
    declaration = replace(
        GOOD, databases=(Database(name="app", extensions=("citext", "pg_stat_statements")),)
    )
    purposes = [step.purpose for step in statements(declaration, None, major) if step.as_role == "superuser"]
    assert [purpose for purpose in purposes if "administrator" not in purpose] == [
        "create extension pg_stat_statements in database app",
        "attributes of role app_user",
    ]
    assert ("administrator administers role app_user" in purposes) == (major >= 16)


def test_nothing_is_dropped():
    for step in statements(Declaration(administrator="pgpl_admin"), GOOD, 17):
        assert "DROP" not in step.sql
        assert "CASCADE" not in step.sql


def test_sessions_are_opened_per_database_and_not_per_role():
    def sessions(count: int) -> int:
        roles = tuple(replace(ROLE, name=f"role_{number}") for number in range(count))
        steps = statements(replace(GOOD, roles=roles), replace(GOOD, roles=()), 17)
        places = sorted({step.database for step in steps})
        by_place = [[step.as_role for step in steps if step.database == place] for place in places]
        return sum(len(list(itertools.groupby(executors))) for executors in by_place)

    assert sessions(600) == sessions(2) <= 10


LET_IN = replace(ROLE, networks=("10.0.0.0/8",))


@pytest.mark.parametrize(
    ("roles", "networks", "says"),
    [
        ([ROLE], (), "'app_user': has no networks"),
        ([replace(LET_IN, databases=())], (), "has no databases"),
        ([replace(LET_IN, databases=("x",))], (), "'x', which is not declared"),
        ([replace(LET_IN, databases=("app", "other"))], (), "'other', which is not declared"),
        ([replace(LET_IN, networks=("0.0.0.0/0",))], (), "whole internet"),
        ([replace(LET_IN, name="pgpl_admin")], (), "is the administrator"),
        ([replace(LET_IN, name="App")], (), "upper-case"),
        ([LET_IN, LET_IN], (), "given twice"),
        ([LET_IN], ("x",), "network 'x'"),
    ],
)
def test_roles_that_could_not_be_let_in(roles, networks, says):
    assert any(says in problem for problem in access_problems(replace(GOOD, roles=tuple(roles)), networks))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("app_user", "is the role's own name"),
        ("reporting", "is the name of role reporting"),
        ("pgpl_admin", "is the name of the administrator"),
        ("postgres", "is the name of the superuser"),
        ("batch.example.org", "is the common name of role reporting already"),
    ],
)
def test_common_names_that_belong_to_others(name, says):
    roles = (LET_IN, replace(LET_IN, name="reporting"))
    names = (("reporting", "batch.example.org"), ("app_user", name))
    (problem,) = access_problems(replace(GOOD, roles=roles, common_names=names))
    assert problem.startswith("role 'app_user': its common name ")
    assert says in problem


def test_roles_with_networks_and_declared_databases_are_let_in():
    assert access_problems(replace(GOOD, roles=(LET_IN,)), ("10.9.0.0/24",)) == []


def test_networks_are_not_in_the_document():
    assert replace(GOOD, roles=(LET_IN,)).to_json() == GOOD.to_json()
