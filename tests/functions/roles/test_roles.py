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
    WATCHER,
    WRITER,
    Invocation,
    RdsLikeServer,
)
from tests.postgres.rds_roles import MASTER


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


# Statements of the superuser that RDS has, of the master, or of the administrator.
BY_HAND = (
    ("ALTER ROLE app_reader NOLOGIN CREATEDB CREATEROLE CONNECTION LIMIT 7", "rdsadmin", "postgres"),
    ("GRANT rds_superuser TO app_writer", MASTER, "postgres"),
    ("REVOKE rds_iam FROM app_writer", ADMINISTRATOR, "postgres"),
    ("ALTER ROLE app_writer PASSWORD 'by hand'", ADMINISTRATOR, "postgres"),
    ("GRANT CREATE ON DATABASE app TO app_reader", ADMINISTRATOR, "postgres"),
    ("GRANT USAGE ON SCHEMA jobs TO PUBLIC", ADMINISTRATOR, "app"),
    ("REVOKE USAGE ON SCHEMA public FROM app_reader", ADMINISTRATOR, "app"),
)


def test_the_master_gives_memberships_once(invoke: Invocation, server: RdsLikeServer) -> None:
    server.sql("GRANT pg_monitor TO rds_superuser WITH ADMIN OPTION")
    watched = replace(DECLARATION, roles=(*DECLARATION.roles, WATCHER))
    assert invoke(watched).outcome == "applied"
    assert server.sql("SELECT pg_has_role('watcher', 'pg_monitor', 'USAGE')") == [(True,)]
    assert (invoke(watched).steps, invoke(watched).drift) == (0, ())
    server.sql("REVOKE pg_monitor FROM watcher", user=MASTER)
    assert invoke(watched).drift == ("role watcher is a member of pg_monitor",)
    assert invoke().outcome == "applied"
    assert server.sql("SELECT pg_has_role('watcher', 'pg_monitor', 'USAGE')") == [(False,)]


def test_changes_by_hand_are_put_back_and_counted(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    # As on RDS, where the master gives it on.
    server.sql(f"GRANT rds_superuser TO {MASTER} WITH ADMIN OPTION")
    state = server.catalogue()
    for statement, user, database in BY_HAND:
        server.sql(statement, database, user)
    assert server.catalogue() != state
    outcome = invoke()
    assert outcome.outcome == "applied", outcome.message
    assert server.catalogue() == state
    assert set(outcome.drift) == {
        "attributes of role app_reader",
        "attributes of role app_writer",
        "role app_writer is no longer a member of rds_superuser",
        "role app_writer logs in by IAM",
        "take create on database app from app_reader",
        "take usage on schema jobs of app from PUBLIC",
        "grant usage on schema public of app to app_reader",
    }
    again = invoke()
    assert (again.steps, again.drift) == (0, ())
    usual = {"ForeignGrants": 0, "ReconciliationHeld": 0, "FailedReconciliations": 0}
    assert outcome.metrics() == {"CatalogueDrift": 7, **usual}
    assert again.metrics() == {"CatalogueDrift": 0, **usual}


HELD = "held until 18:00: a repair by hand"


def test_a_hold_leaves_grants_alone_but_never_access(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    server.sql(f"GRANT rds_superuser TO {MASTER} WITH ADMIN OPTION")
    state = server.catalogue()
    for statement, user, database in BY_HAND:
        server.sql(statement, database, user)
    outcome = invoke(held=HELD)
    assert outcome.outcome == "applied", outcome.message
    assert outcome.message.endswith(f"3 differences are left alone, {HELD}")
    assert set(outcome.drift) == {
        "attributes of role app_reader",
        "attributes of role app_writer",
        "role app_writer is no longer a member of rds_superuser",
        "role app_writer logs in by IAM",
    }
    assert set(outcome.to_json()["held"]) == {
        "take create on database app from app_reader",
        "take usage on schema jobs of app from PUBLIC",
        "grant usage on schema public of app to app_reader",
    }
    assert (outcome.metrics()["ReconciliationHeld"], outcome.metrics()["FailedReconciliations"]) == (1, 0)
    again = invoke(held=HELD)
    assert (again.steps, again.drift, again.held) == (0, (), outcome.held)
    # It is over.
    assert set(invoke().drift) == set(outcome.held)
    assert server.catalogue() == state


def test_a_hold_covers_what_was_dropped_apart_from_logins(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    server.sql("DROP DATABASE app WITH (FORCE)")
    server.sql("DROP ROLE app_writer")
    outcome = invoke(held=HELD)
    assert outcome.outcome == "applied", outcome.message
    assert "create role app_writer" in outcome.drift
    assert "create database app" in outcome.held
    assert invoke().outcome == "applied"


def test_a_new_declaration_is_applied_in_full_while_a_hold_lasts(
    invoke: Invocation, server: RdsLikeServer
) -> None:
    first = replace(DECLARATION, roles=(READER,))
    assert invoke(first, held=HELD).held == ()
    server.sql("GRANT CREATE ON DATABASE app TO app_reader", user=ADMINISTRATOR)
    outcome = invoke(held=HELD)
    assert (outcome.outcome, outcome.held) == ("applied", ())
    assert server.sql("SELECT has_database_privilege('app_reader', 'app', 'CREATE')") == [(False,)]
    assert "app_writer" in str(server.catalogue()["app schemas"])


def test_what_nobody_on_rds_may_change_is_reported(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    server.sql("ALTER ROLE app_reader BYPASSRLS; CREATE ROLE by_hand LOGIN CREATEROLE")
    outcome = invoke()
    assert outcome.outcome == "applied"
    assert set(outcome.foreign) == {
        "declared role app_reader bypasses row-level security",
        "role by_hand is not declared and may create roles",
    }
    assert outcome.to_json()["foreign"] == list(outcome.foreign)


def test_a_new_declaration_is_no_drift(invoke: Invocation) -> None:
    invoke(replace(DECLARATION, roles=(READER,)))
    outcome = invoke()
    assert outcome.steps > 0
    assert outcome.drift == ()


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
