# ruff: noqa: S608 - the SQL here is put together from constants
"""The declaration's SQL on real servers set up as RDS sets them up: nobody who runs it is a superuser."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from postgres.administrator import administrator_deviations, administrator_steps
from postgres.declaration import Declaration, Role, declaration_problems
from postgres.roles import statements
from postgres.undeclared import excess_query
from tests.postgres.rds_roles import MASTER, rds_setup
from tests.postgres.test_roles_server import ADMINISTRATOR, FIRST, Executor, check_memberships

DECLARATION = replace(
    FIRST, databases=tuple(replace(each, extensions=("pg_trgm",)) for each in FIRST.databases)
)


@pytest.fixture
def executor(cluster):
    runner = Executor(cluster, platform="rds")
    for statement in rds_setup(cluster.major):
        runner.sql(statement)
    yield runner
    runner.sql("ALTER DATABASE postgres OWNER TO postgres")
    runner.reset()


def deviations(executor):
    query = administrator_deviations(ADMINISTRATOR, executor.cluster.major)
    return sorted(what for (what,) in executor.sql(query, user=ADMINISTRATOR))


def test_applying_twice_changes_nothing(executor):
    executor.apply(DECLARATION)
    assert deviations(executor) == []
    state = executor.catalogue()
    again = executor.apply(DECLARATION)
    assert executor.catalogue() == state
    assert again == []
    executor.previous = None
    executor.apply(DECLARATION)
    assert executor.catalogue() == state


def test_every_role_logs_in_by_iam_and_the_master_does_not(executor):
    executor.apply(DECLARATION)
    members = "SELECT rolname FROM pg_roles WHERE pg_has_role(oid, 'rds_iam', 'MEMBER') AND NOT rolsuper"
    names = {name for (name,) in executor.sql(members)}
    assert names >= {ADMINISTRATOR, "app_reader", "app_writer"}
    usage = "SELECT pg_has_role('{}', 'rds_iam', 'USAGE') OR pg_has_role('{}', '{}', 'USAGE')"
    assert executor.sql(usage.format(MASTER, MASTER, ADMINISTRATOR)) == [(False,)]
    if executor.cluster.major < 16:
        assert MASTER not in names
    attributes = executor.sql(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolpassword "
        f"FROM pg_authid WHERE rolname = '{ADMINISTRATOR}'"
    )
    assert attributes == [(False, True, True, True, False, False, None)]


def test_a_role_that_is_no_longer_declared_loses_its_login(executor):
    executor.apply(DECLARATION)
    state = executor.catalogue()
    executor.apply(replace(DECLARATION, roles=DECLARATION.roles[:1]))
    gone = DECLARATION.roles[1].name
    assert executor.sql(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{gone}'") == [(False,)]
    executor.apply(DECLARATION)
    assert executor.catalogue() == state


def test_the_master_mends_an_administrator_that_somebody_changed(executor):
    executor.apply(DECLARATION)
    state = executor.catalogue()
    executor.sql(
        f"ALTER ROLE {ADMINISTRATOR} NOCREATEDB NOINHERIT CONNECTION LIMIT 3 VALID UNTIL '2999-01-01'; "
        f"REVOKE ADMIN OPTION FOR rds_iam FROM {ADMINISTRATOR} CASCADE",
        user=MASTER,
    )
    found = deviations(executor)
    assert found == [
        "does not inherit", "expires", "has a connection limit", "may not create databases",
        "may not grant rds_iam",
    ]  # fmt: skip
    executor.apply(DECLARATION)
    assert deviations(executor) == []
    assert executor.catalogue() == state


def test_what_only_a_superuser_gives_is_seen(executor):
    executor.apply(DECLARATION)
    executor.sql(f"ALTER ROLE {ADMINISTRATOR} REPLICATION BYPASSRLS")
    assert deviations(executor) == ["bypasses row-level security", "may replicate"]


def test_the_master_could_not_say_what_the_superuser_says(executor):
    major = executor.cluster.major
    create, attributes, *_ = administrator_steps(ADMINISTRATOR, major, "server")
    executor.sql(create.sql, user=MASTER)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        executor.sql(attributes.sql, user=MASTER)
    _, attributes, *_ = administrator_steps(ADMINISTRATOR, major, "rds")
    executor.sql(attributes.sql, user=MASTER)


@pytest.mark.parametrize("cluster", [15, 17], indirect=True)
def test_the_master_gives_memberships_in_predefined_roles(executor):
    check_memberships(executor)


@pytest.mark.parametrize("name", ["app_*", "a?b", "${aws}"])
def test_names_that_mean_others_in_iam_are_refused(name):
    role = Role(name=name, connection_limit=1, databases=("app",))
    declaration = replace(DECLARATION, roles=(role,))
    assert declaration_problems(declaration, 17) == []
    (problem,) = declaration_problems(declaration, 17, "rds")
    assert "which IAM policies read as wildcards or variables" in problem
    assert declaration_problems(Declaration(administrator=name), 17, "rds") != []


def delegation(declaration, major):
    return [step for step in statements(declaration, None, major, "rds") if "rds_extension" in step.sql]


@pytest.mark.parametrize("cluster", [15, 17], indirect=True)
def test_the_administrator_creates_extensions_as_rds_delegates_them(executor):
    """A stand-in of RDS has no such delegation: the membership is tested, and the extension not made."""
    major = executor.cluster.major
    member = f"SELECT pg_has_role('{ADMINISTRATOR}', 'rds_extension', 'USAGE')"
    executor.apply(DECLARATION)
    assert executor.sql(member) == [(False,)]
    (step,) = delegation(FIRST, major)
    assert step.as_role == "master"
    executor.sql(step.sql, user=MASTER)
    assert executor.sql(member) == [(True,)]
    # Declared, it is kept; not declared any more, it is taken back.
    kept, taken = (
        executor.sql(excess_query(declaration, "postgres", major, "rds"))
        for declaration in (FIRST, DECLARATION)
    )
    assert kept == []
    ((executed_by, purpose, sql, _),) = taken
    assert purpose == f"role {ADMINISTRATOR} is no longer a member of rds_extension"
    assert executed_by == "master"
    executor.sql(sql, user=MASTER)
    assert executor.sql(member) == [(False,)]


def test_extensions_are_made_by_the_administrator():
    assert declaration_problems(FIRST, 17, "rds") == []
    assert delegation(DECLARATION, 17) == []
    assert {step.as_role for step in statements(FIRST, None, 17, "rds") if "EXTENSION" in step.sql} == {
        "administrator"
    }
    assert {step.as_role for step in statements(DECLARATION, None, 17, "rds")} == {"master", "administrator"}
