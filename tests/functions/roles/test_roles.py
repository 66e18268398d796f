"""The declaration on an instance: applied, changed, refused, interrupted."""

from __future__ import annotations

from dataclasses import replace

import pytest

import functions.roles.session
from functions.roles.steps import Progress
from postgres.steps import Step
from tests.functions.roles.conftest import (
    ADMINISTRATOR,
    DECLARATION,
    READER,
    WRITER,
    Invocation,
    RdsLikeServer,
)


def test_applying_twice_changes_nothing(invoke: Invocation, server: RdsLikeServer) -> None:
    first = invoke()
    assert first.outcome == "applied", first.message
    assert first.message == f"localhost:{server.port}: 1 databases and 2 roles are as declared"
    state = server.catalogue()
    members = (
        "SELECT rolname FROM pg_roles WHERE pg_has_role(oid, 'rds_iam', 'USAGE') "
        "AND rolcanlogin AND NOT rolsuper ORDER BY 1"
    )
    assert [name for (name,) in server.sql(members)] == ["app_reader", "app_writer", ADMINISTRATOR]
    again = invoke()
    assert again.outcome == "applied"
    assert server.catalogue() == state
    assert (again.steps, again.drift, again.foreign) == (0, (), ())


def test_the_record_is_the_administrator_s_own(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    query = (
        "SELECT pg_get_userbyid(relowner), relnamespace::regnamespace::text, relacl FROM pg_class "
        "WHERE relname = 'declarations'"
    )
    assert server.sql(query) == [(ADMINISTRATOR, "pgpasswordless", None)]
    reads = "SELECT has_schema_privilege('app_reader', 'pgpasswordless', 'USAGE')"
    assert server.sql(reads) == [(False,)]


def test_what_is_no_longer_declared_goes(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    first = server.catalogue()
    smaller = replace(DECLARATION, roles=(replace(READER, connection_limit=3, grants=READER.grants[:1]),))
    assert invoke(smaller).outcome == "applied"
    logins = "SELECT rolname, rolcanlogin, rolconnlimit FROM pg_roles WHERE rolname ~ '^app_' ORDER BY 1"
    assert server.sql(logins) == [("app_reader", True, 3), ("app_writer", False, 20)]
    assert "app_writer" not in str(server.catalogue()["app schemas"])
    assert "app_reader" not in str(server.catalogue()["app defaults"])
    assert invoke().outcome == "applied"
    assert server.catalogue() == first


def test_a_database_that_somebody_dropped_is_no_obstacle(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    server.sql("DROP DATABASE app WITH (FORCE)")
    assert invoke(replace(DECLARATION, databases=(), roles=())).outcome == "applied"


def test_a_refusal_names_the_step_and_the_server_s_words(invoke: Invocation, server: RdsLikeServer) -> None:
    server.sql("CREATE DATABASE app TEMPLATE template0")
    outcome = invoke()
    assert outcome.outcome == "refused"
    assert (
        "create schema jobs of database app (database app, as administrator): "
        "permission denied for database app (SQLSTATE 42501)"
    ) in outcome.message
    assert server.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app_reader'") == [(True,)]
    assert outcome.steps > 0
    server.sql("DROP DATABASE app")
    assert invoke().outcome == "applied"


def test_another_administrator_than_before_is_refused(invoke: Invocation) -> None:
    invoke()
    other = replace(DECLARATION, administrator="somebody")
    outcome = invoke(other, administrator="somebody")
    assert outcome.outcome == "refused"
    assert "administrator 'somebody' was 'pgpl_admin', which owns the databases" in outcome.message


def test_an_interrupted_run_is_undone_by_the_next(
    invoke: Invocation, server: RdsLikeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_reader = replace(DECLARATION, roles=(READER,))
    invoke(only_reader)
    direct = server.catalogue()
    added = Progress.add

    def killed(self: Progress, step: Step) -> None:
        added(self, step)
        if step.purpose.startswith("grant connect, temporary"):
            raise KeyboardInterrupt

    wider = replace(DECLARATION, roles=(WRITER,))
    with monkeypatch.context() as patched:
        patched.setattr(Progress, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            invoke(wider)
    assert "app_writer" in str(server.catalogue()["databases"])
    assert invoke(only_reader).outcome == "applied"
    state = server.catalogue()
    assert "app_writer" not in str(state["databases"])
    assert server.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app_writer'") == [(False,)]
    assert state["databases"] == direct["databases"]
    assert state["app defaults"] == direct["app defaults"]


def test_two_runs_at_once_take_turns(
    invoke: Invocation, server: RdsLikeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke()
    monkeypatch.setattr(functions.roles.session, "LOCK_SECONDS", 1)
    with server.connect() as other:
        other.execute("SELECT pg_advisory_lock(hashtext('pgpasswordless'))")
        outcome = invoke()
    assert outcome.outcome == "failed"
    assert "be the only run on this instance" in outcome.message
    assert invoke().outcome == "applied"


def test_a_damaged_journal_is_not_guessed(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    # Deployed instances have the row under this name.
    assert server.sql("SELECT name FROM pgpasswordless.declarations") == [("traces",)]
    server.sql("UPDATE pgpasswordless.declarations SET document = '[7]'")
    outcome = invoke()
    assert outcome.outcome == "failed"
    assert "pgpasswordless.declarations in database postgres is damaged" in outcome.message
