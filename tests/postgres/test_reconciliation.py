"""Changes by hand on real servers: what is ours is put back, what is foreign is reported and stays."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from postgres.reconciliation import Reconciliation
from postgres.versions import SUPPORTED_MAJORS
from tests.postgres.test_roles_server import ADMINISTRATOR, FIRST, READER, Executor, run

# Memberships follow other rules since PostgreSQL 16, so one release before and one after is always tested.
ONE_MAJOR = pytest.mark.parametrize("executor", [17], indirect=True)
MAJORS = [pytest.param(m, marks=() if m in (15, 17) else pytest.mark.long) for m in SUPPORTED_MAJORS]

_DEFAULTS = f"ALTER DEFAULT PRIVILEGES FOR ROLE {ADMINISTRATOR}"
OURS = [
    # statement, database, user
    ("ALTER ROLE app_reader SUPERUSER", "postgres", "postgres"),
    ("ALTER ROLE app_writer SUPERUSER REPLICATION CREATEROLE", "postgres", "postgres"),
    ("ALTER ROLE app_reader CREATEDB BYPASSRLS", "postgres", "postgres"),
    ("ALTER ROLE app_reader NOLOGIN", "postgres", "postgres"),
    ("ALTER ROLE app_reader NOINHERIT CONNECTION LIMIT 7", "postgres", "postgres"),
    ("ALTER ROLE app_writer CONNECTION LIMIT -1", "postgres", "postgres"),
    ("ALTER ROLE app_writer VALID UNTIL '2001-01-01'", "postgres", "postgres"),
    ("ALTER ROLE app_reader PASSWORD 'by hand'", "postgres", "postgres"),
    (f"ALTER ROLE {ADMINISTRATOR} SUPERUSER PASSWORD 'by hand'", "postgres", "postgres"),
    (f"ALTER ROLE {ADMINISTRATOR} NOLOGIN NOCREATEROLE", "postgres", "postgres"),
    (f"GRANT pg_read_server_files TO {ADMINISTRATOR}", "postgres", "postgres"),
    ("GRANT pg_execute_server_program TO app_reader", "postgres", "postgres"),
    ("GRANT app_writer TO app_reader WITH ADMIN OPTION", "postgres", "postgres"),
    (f"GRANT {ADMINISTRATOR} TO app_writer", "postgres", "postgres"),
    ("GRANT by_hand TO app_reader", "postgres", "postgres"),
    (f"REVOKE app_reader FROM {ADMINISTRATOR} CASCADE", "postgres", "postgres"),
    (f"REVOKE app_writer FROM {ADMINISTRATOR} CASCADE", "postgres", ADMINISTRATOR),
    ("REVOKE CONNECT ON DATABASE app FROM app_reader", "postgres", "postgres"),
    ("GRANT ALL ON DATABASE app TO PUBLIC", "postgres", "postgres"),
    ("GRANT CREATE ON DATABASE app TO app_reader", "postgres", "postgres"),
    ("GRANT CONNECT ON DATABASE app TO app_reader WITH GRANT OPTION", "postgres", "postgres"),
    ("ALTER DATABASE app OWNER TO postgres", "postgres", "postgres"),
    ("ALTER DATABASE app WITH ALLOW_CONNECTIONS false", "postgres", "postgres"),
    ("ALTER DATABASE app WITH CONNECTION LIMIT 1 IS_TEMPLATE true", "postgres", "postgres"),
    (f"REVOKE ALL ON DATABASE app FROM {ADMINISTRATOR}", "postgres", "postgres"),
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", "app", "postgres"),
    ("GRANT CREATE ON SCHEMA public TO app_reader", "app", "postgres"),
    ("REVOKE USAGE ON SCHEMA public FROM app_reader", "app", "postgres"),
    ("REVOKE CREATE ON SCHEMA public FROM app_writer", "app", ADMINISTRATOR),
    ('GRANT USAGE ON SCHEMA "it\'s" TO PUBLIC', "app", ADMINISTRATOR),
    ("GRANT ALL ON ours TO PUBLIC", "app", "postgres"),
    ("GRANT TRUNCATE ON ours TO app_reader", "app", ADMINISTRATOR),
    ("GRANT SELECT ON ours TO app_reader WITH GRANT OPTION", "app", ADMINISTRATOR),
    ("GRANT UPDATE (id) ON ours TO app_reader", "app", "postgres"),
    ("REVOKE SELECT ON ours FROM app_reader", "app", "postgres"),
    ("REVOKE INSERT, UPDATE ON ours FROM app_writer", "app", "postgres"),
    ("GRANT USAGE ON SEQUENCE ours_s TO app_reader", "app", "postgres"),
    ("REVOKE SELECT ON SEQUENCE ours_s FROM app_reader", "app", "postgres"),
    ("GRANT EXECUTE ON FUNCTION ours_f(int, text) TO app_reader", "app", "postgres"),
    ("REVOKE EXECUTE ON FUNCTION ours_f(int, text) FROM app_writer", "app", "postgres"),
    (f"{_DEFAULTS} GRANT SELECT ON TABLES TO PUBLIC", "app", "postgres"),
    (f"{_DEFAULTS} IN SCHEMA public GRANT DELETE ON TABLES TO app_reader", "app", "postgres"),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE app_writer IN SCHEMA public REVOKE ALL ON TABLES FROM app_reader",
        "app",
        "app_writer",
    ),
    (f"{_DEFAULTS} IN SCHEMA public REVOKE ALL ON TABLES FROM app_reader", "app", "postgres"),
]

FOREIGN = [
    # statement, statement that undoes it, database, what the report says
    (
        "GRANT app_reader TO by_hand",
        "REVOKE app_reader FROM by_hand",
        "postgres",
        "role by_hand is a member of declared role app_reader, granted by postgres",
    ),
    (
        "ALTER ROLE by_hand SUPERUSER",
        "ALTER ROLE by_hand NOSUPERUSER",
        "postgres",
        "role by_hand is not declared and is a superuser",
    ),
    (
        "ALTER ROLE by_hand LOGIN BYPASSRLS",
        "ALTER ROLE by_hand NOLOGIN NOBYPASSRLS",
        "postgres",
        "role by_hand is not declared and bypasses row-level security",
    ),
    (
        "ALTER ROLE app_reader SET work_mem = '1GB'",
        "ALTER ROLE app_reader RESET ALL",
        "postgres",
        "ALTER ROLE app_reader SET work_mem: not declared",
    ),
    (
        "ALTER DATABASE app SET search_path = x",
        "ALTER DATABASE app RESET ALL",
        "postgres",
        "ALTER DATABASE app SET search_path: not declared",
    ),
    (
        f"ALTER ROLE {ADMINISTRATOR} IN DATABASE app SET work_mem = '2GB'",
        f"ALTER ROLE {ADMINISTRATOR} IN DATABASE app RESET ALL",
        "postgres",
        f"ALTER ROLE {ADMINISTRATOR} IN DATABASE app SET work_mem: not declared",
    ),
    (
        "GRANT SET ON PARAMETER log_statement TO app_reader",
        "REVOKE SET ON PARAMETER log_statement FROM app_reader",
        "postgres",
        "app_reader may set parameter log_statement, granted by postgres",
    ),
    (
        "GRANT SELECT ON theirs.t TO app_reader",
        "REVOKE SELECT ON theirs.t FROM app_reader",
        "app",
        "app_reader has select on tables in schema theirs of app, granted by postgres",
    ),
    (
        "GRANT USAGE ON SCHEMA theirs TO app_writer",
        "REVOKE USAGE ON SCHEMA theirs FROM app_writer",
        "app",
        "app_writer has usage on schema theirs of app, granted by postgres",
    ),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA theirs GRANT SELECT ON TABLES TO app_reader",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA theirs REVOKE SELECT ON TABLES FROM app_reader",
        "app",
        "app_reader has select on later tables in schema theirs of app, granted by postgres",
    ),
]


@pytest.fixture(params=MAJORS)
def executor(request, clusters) -> Iterator[Executor]:
    """A server that is as declared, with objects of the administrator and of others."""
    runner = Executor(clusters(request.param))
    runner.sql("CREATE ROLE by_hand NOLOGIN")
    runner.apply(FIRST)
    runner.sql(
        "CREATE TABLE ours (id int); CREATE SEQUENCE ours_s; "
        "CREATE FUNCTION ours_f(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "app",
        ADMINISTRATOR,
    )
    runner.sql("CREATE SCHEMA theirs; CREATE TABLE theirs.t (id int)", "app")
    runner.apply(FIRST)
    yield runner
    runner.reset()


def test_random_changes_by_hand_are_put_back_or_reported(executor: Executor) -> None:
    chance = random.Random(12)  # noqa: S311 - which changes a test makes
    ours, foreign = chance.sample(OURS, len(OURS)), chance.sample(FOREIGN, len(FOREIGN))
    state = executor.catalogue()
    for start in range(0, len(ours), 6):
        changes, others = ours[start : start + 6], foreign[start // 3 :][:2]
        for statement, _, database, _ in others:
            executor.sql(statement, database)
        for statement, database, user in changes:
            # An earlier change may be in its way.
            with contextlib.suppress(psycopg.Error):
                executor.sql(statement, database, user)
        found = executor.reconcile(FIRST)
        assert found.failures == (), changes
        assert found.put_back, changes
        assert [report for *_, report in others if report not in found.foreign] == []
        for _, undo, database, _ in others:
            executor.sql(undo, database)
        assert executor.catalogue() == state, changes
        assert executor.reconcile(FIRST) == Reconciliation(), changes
        assert executor.ran == [], changes


@pytest.mark.long
@pytest.mark.parametrize("change", OURS, ids=lambda change: change[0])
def test_a_change_by_hand_is_put_back(executor: Executor, change: tuple[str, str, str]) -> None:
    state = executor.catalogue()
    try:
        executor.sql(*change)
    except psycopg.errors.InvalidGrantOperation:
        pytest.skip("before PostgreSQL 16 the administrator is a member of every role, and none is its own")
    found = executor.reconcile(FIRST)
    assert found.put_back or found.routine
    assert replace(found, put_back=(), routine=()) == Reconciliation()
    assert executor.catalogue() == state


@ONE_MAJOR
def test_where_nothing_differs_nothing_is_written(executor: Executor) -> None:
    wal = "SELECT pg_current_wal_insert_lsn()"
    rows = "SELECT array_agg(xmin::text ORDER BY oid) FROM pg_authid"
    before = executor.sql(rows)
    executor.sql("CHECKPOINT")
    start = executor.sql(wal)
    assert executor.reconcile(FIRST) == Reconciliation()
    assert executor.ran == []
    assert executor.sql(rows) == before
    assert executor.sql(wal) == start


@ONE_MAJOR
def test_what_somebody_locks_stops_nothing_else(executor: Executor) -> None:
    state = executor.catalogue()
    executor.sql("ALTER ROLE app_reader CREATEDB; ALTER ROLE app_writer CREATEDB")
    with executor.cluster.connect() as other:
        run(other, "BEGIN; ALTER ROLE app_reader CONNECTION LIMIT 9")
        found = executor.reconcile(FIRST)
        run(other, "ROLLBACK")
    (failure,) = found.failures
    assert (failure.step.purpose, failure.sqlstate, failure.passing) == (
        "attributes of role app_reader",
        "55P03",
        True,
    )
    assert found.put_back == ("attributes of role app_writer",)
    assert executor.reconcile(FIRST).put_back == ("attributes of role app_reader",)
    assert executor.catalogue() == state


@ONE_MAJOR
def test_grants_at_the_same_time_collide_without_harm(executor: Executor) -> None:
    state = executor.catalogue()
    stop = threading.Event()

    def disturb() -> None:
        with executor.cluster.connect(database="app") as other:
            while not stop.is_set():
                with contextlib.suppress(psycopg.Error):
                    run(other, "GRANT SELECT ON ours TO by_hand; REVOKE SELECT ON ours FROM by_hand")

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(10):
            with contextlib.suppress(psycopg.errors.InternalError_):
                executor.sql("REVOKE SELECT ON ours FROM app_reader, app_writer", "app")
            found = executor.reconcile(FIRST)
            assert all(failure.passing for failure in found.failures), found
    finally:
        stop.set()
        thread.join()
    executor.reconcile(FIRST)
    assert executor.catalogue() == state


@ONE_MAJOR
def test_a_user_of_a_database_writes_nothing_that_the_superuser_runs(executor: Executor) -> None:
    """CVE-2018-1058: functions and operators whose arguments fit better than the catalogues' own."""
    executor.sql(
        "CREATE FUNCTION public.same(name, text) RETURNS boolean LANGUAGE plpgsql AS "
        "$$BEGIN ALTER ROLE app_writer SUPERUSER; RETURN true; END$$; "
        "CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = public.same); "
        "CREATE OPERATOR public.<> (LEFTARG = name, RIGHTARG = text, FUNCTION = public.same)",
        "app",
        "app_writer",
    )
    executor.sql("ALTER DATABASE app SET search_path = public, pg_catalog")
    executor.sql("REVOKE USAGE ON SCHEMA public FROM app_reader", "app")
    assert executor.reconcile(FIRST).failures == ()
    assert executor.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'app_writer'") == [(False,)]


@ONE_MAJOR
def test_new_objects_of_an_application_are_no_drift(executor: Executor) -> None:
    executor.sql("CREATE TABLE moved (id int)", "app")
    executor.sql("ALTER TABLE moved OWNER TO app_writer", "app")
    found = executor.reconcile(FIRST)
    assert found.put_back == ()
    assert found.routine == ("grant select on tables in schema public of app to app_reader",)
    assert executor.sql("SELECT * FROM moved", "app", "app_reader") == []


@ONE_MAJOR
def test_a_standby_is_left_alone(executor: Executor) -> None:
    executor.sql("ALTER ROLE app_reader CREATEDB")
    answer = executor.query
    executor.query = lambda sql, database: [("recovery", "", "", ""), *answer(sql, database)]  # type: ignore[method-assign]
    assert executor.reconcile(FIRST) == Reconciliation(in_recovery=True)
    assert executor.ran == []
    assert executor.sql("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'app_reader'") == [(True,)]


@ONE_MAJOR
@pytest.mark.parametrize("count", [30, pytest.param(600, marks=pytest.mark.long)])
def test_many_roles_take_one_query_and_few_sessions(executor: Executor, count: int) -> None:
    many = replace(FIRST, roles=tuple(replace(READER, name=f"role_{number:03}") for number in range(count)))
    executor.apply(many)
    sessions: list[str] = []
    opened = executor.session

    def counted(role: str, database: str):
        sessions.append(database)
        return opened(role, database)

    executor.session = counted  # type: ignore[method-assign]
    assert executor.reconcile(many) == Reconciliation()
    assert sessions == ["postgres", "app"]
    executor.sql("; ".join(f"ALTER ROLE role_{number:03} CREATEDB" for number in range(count)))
    sessions.clear()
    assert len(executor.reconcile(many).put_back) == count
    assert sessions == ["postgres", "postgres", "postgres", "app"]
