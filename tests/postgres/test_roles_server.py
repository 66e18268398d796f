# ruff: noqa: S608 - the SQL here is put together from constants
"""The declaration's SQL on real servers: idempotent, reversible, and careful with what others made."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import psycopg
import pytest

from postgres.administrator import administrator_steps
from postgres.declaration import Database, Declaration, Grant, Platform, Role
from postgres.reconciliation import LOCK_SECONDS, Failure, Reconciliation, reconcile
from postgres.roles import statements
from tests.postgres.rds_roles import MASTER

ADMINISTRATOR = "pgpl_admin"
LOGINS = {"superuser": "postgres", "master": MASTER, "administrator": ADMINISTRATOR}


def grant(**values) -> Grant:
    return Grant(**{"database": "app", "schema": "public", **values})


READER = Role(
    name="app_reader",
    connection_limit=5,
    databases=("app",),
    grants=(
        grant(on="schema", privileges=("usage",)),
        grant(on="tables", privileges=("select",)),
        grant(on="sequences", privileges=("select",)),
    ),
)
WRITER = Role(
    name="app_writer",
    connection_limit=20,
    databases=("app",),
    grants=(
        grant(on="database", schema=None, privileges=("temporary",)),
        grant(on="schema", privileges=("usage", "create")),
        grant(on="tables", privileges=("select", "insert", "update", "delete")),
        grant(on="functions", privileges=("execute",)),
        grant(schema="it's", on="schema", privileges=("usage",)),
        grant(schema="it's", on="tables", privileges=("select",)),
    ),
)
FIRST = Declaration(
    administrator=ADMINISTRATOR,
    databases=(Database(name="app", extensions=("pg_trgm", "pg_stat_statements")),),
    roles=(WRITER, READER),
)


def sorted_acl(column: str, default: str, owner: str) -> str:
    """A column `acl` for a LATERAL join: every privilege, one order, the built-in defaults written out."""
    entries = f"aclexplode(coalesce({column}, acldefault({default}, {owner})))"
    return f"LATERAL (SELECT array_agg(e.* ORDER BY e.*::text)::text FROM {entries} e) AS x(acl)"


RELATION_KIND = """(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char" """
CATALOGUE = {
    "roles": """
        SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
               rolbypassrls, rolconnlimit, rolvaliduntil::text, rolpassword IS NULL,
               ARRAY(SELECT c FROM unnest(s.setconfig) c ORDER BY c)
        FROM pg_authid LEFT JOIN pg_db_role_setting s ON s.setrole = pg_authid.oid
        WHERE rolname !~ '^pg_' ORDER BY 1""",
    "memberships": """
        SELECT r.rolname, m.rolname, g.rolname, a.admin_option
        FROM pg_auth_members a JOIN pg_roles r ON r.oid = roleid JOIN pg_roles m ON m.oid = member
        JOIN pg_roles g ON g.oid = grantor WHERE m.rolname !~ '^pg_' ORDER BY 1, 2, 3""",
    "databases": f"""
        SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datconnlimit,
               datallowconn, datistemplate, acl
        FROM pg_database d, {sorted_acl("datacl", "'d'", "datdba")}
        WHERE datname NOT LIKE 'template%' ORDER BY 1""",
}
LOCAL_CATALOGUE = {
    "schemas": f"""
        SELECT nspname, pg_get_userbyid(nspowner), acl
        FROM pg_namespace, {sorted_acl("nspacl", "'n'", "nspowner")}
        WHERE nspname !~ '^pg_' ORDER BY 1""",
    "relations": f"""
        SELECT relname, pg_get_userbyid(relowner), acl
        FROM pg_class, {sorted_acl("relacl", RELATION_KIND, "relowner")}
        WHERE relkind IN ('r', 'S', 'v') AND relnamespace NOT IN ('pg_catalog'::regnamespace,
            'information_schema'::regnamespace) ORDER BY 1""",
    "columns": """
        SELECT attrelid::regclass::text, attname, acl FROM pg_attribute, LATERAL (
            SELECT array_agg(e.* ORDER BY e.*::text)::text FROM aclexplode(attacl) e
        ) AS x(acl) WHERE acl IS NOT NULL ORDER BY 1, 2""",
    "functions": f"""
        SELECT oid::regprocedure::text, acl FROM pg_proc, {sorted_acl("proacl", "'f'", "proowner")}
        WHERE pronamespace = 'public'::regnamespace ORDER BY 1""",
    "defaults": """
        SELECT pg_get_userbyid(defaclrole), nspname, defaclobjtype, acl
        FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace, LATERAL (
            SELECT array_agg(e.* ORDER BY e.*::text)::text FROM aclexplode(defaclacl) e
        ) AS x(acl) ORDER BY 1, 2, 3""",
    "extensions": """
        SELECT extname, pg_get_userbyid(extowner), extnamespace::regnamespace::text FROM pg_extension
        ORDER BY 1""",
}


def run(session: psycopg.Connection, statement: str):
    """Any text as a statement: psycopg wants literals otherwise."""
    return session.execute(statement.encode())


def rows_of(session: psycopg.Connection, statement: str):
    """What a statement returns; an empty list when it returns nothing."""
    cursor = run(session, statement)
    return cursor.fetchall() if cursor.description else []


class Executor:
    """Reaches a server for a reconciliation; `ran` is every statement that changed something."""

    def __init__(self, cluster, platform: Platform = "server") -> None:
        self.cluster = cluster
        self.platform: Platform = platform
        self.previous: Declaration | None = None
        self.ran: list[str] = []
        self.errors: list[psycopg.Error] = []

    @contextlib.contextmanager
    def session(self, role: str, database: str):
        with self.cluster.connect(role, database) as session:
            run(session, f"SET search_path = pg_catalog; SET lock_timeout = '{LOCK_SECONDS}s'")
            yield session

    def query(self, sql: str, database: str):
        try:
            with self.session(
                LOGINS["superuser" if self.platform == "server" else "administrator"], database
            ) as s:
                return rows_of(s, sql)
        except psycopg.OperationalError as error:
            if "does not exist" not in str(error):
                raise
            return None

    def run(self, steps, database: str, executor) -> list[Failure]:
        failures: list[Failure] = []
        with self.session(LOGINS[executor], database) as session:
            for step in steps:
                # Copying files instead of writing them to the log is ten times faster, and the same after.
                faster = " STRATEGY file_copy" if step.sql.startswith("CREATE DATABASE") else ""
                try:
                    if step.check and run(session, step.check.query).fetchone():
                        continue
                    self.ran.append(step.sql)
                    run(session, step.sql + faster)
                except psycopg.Error as error:
                    self.errors.append(error)
                    message = str(error).partition("\n")[0]
                    failures.append(Failure(step=step, sqlstate=error.sqlstate or "", message=message))
        return failures

    def reconcile(self, desired: Declaration) -> Reconciliation:
        """What a run does, and what it does not raise."""
        self.ran, self.errors = [], []
        major = self.cluster.major
        if self.platform == "rds":
            self.run(list(administrator_steps(desired.administrator, major, "rds")), "postgres", "master")
            self.ran = [sql for sql in self.ran if not sql.startswith("ALTER ROLE")]
        ran = (
            administrator_steps(desired.administrator, major, self.platform) if self.platform == "rds" else []
        )
        ran = set(ran)
        steps = [s for s in statements(desired, self.previous, major, self.platform) if s not in ran]
        return reconcile(steps, desired, major, self.platform, self)

    def apply(self, desired: Declaration) -> list[str]:
        """Lead to `desired`; the statements that ran. Raises the first refusal, after all others ran."""
        found = self.reconcile(desired)
        if self.errors:
            raise self.errors[0]
        assert not found.failures, found.failures
        self.previous = desired
        return self.ran

    def sql(self, statement: str, database: str = "postgres", user: str = "postgres"):
        """One statement by hand."""
        with self.cluster.connect(user, database) as session:
            return rows_of(session, statement)

    def catalogue(self) -> dict[str, object]:
        """Everything that the declaration decides, with OIDs replaced by names."""
        with self.cluster.connect() as session:
            roles = dict(rows_of(session, "SELECT oid::text, rolname FROM pg_roles"))
            state = {name: rows_of(session, query) for name, query in CATALOGUE.items()}
            databases = rows_of(session, "SELECT datname FROM pg_database WHERE datname !~ '^template'")
        for (database,) in databases:
            with self.cluster.connect(database=database) as session:
                for name, query in LOCAL_CATALOGUE.items():
                    state[f"{database} {name}"] = rows_of(session, query)
        return {name: named(rows, roles) for name, rows in state.items()}

    def reset(self) -> None:
        """Drop every database and role that a test made."""
        databases = (
            "SELECT quote_ident(datname) FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        )
        for (name,) in self.sql(databases):
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")
        ours = "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'"
        names = ", ".join(name for (name,) in self.sql(ours))
        self.sql(f"DROP OWNED BY {names}; DROP ROLE {names}")


def named(rows, roles):
    """Rows with the role OIDs inside ACLs replaced by names, and every ACL in one order."""
    return [tuple(acl(value, roles) for value in row) for row in rows]


def acl(value, roles):
    if not isinstance(value, str) or not value.startswith('{"('):
        return value
    entries = [entry.split(",") for entry in value.removeprefix('{"(').removesuffix(')"}').split(')","(')]
    return sorted((roles.get(e[0], e[0]), roles.get(e[1], "PUBLIC"), *e[2:]) for e in entries)


@pytest.fixture
def executor(cluster):
    runner = Executor(cluster)
    yield runner
    runner.reset()


def test_applying_twice_changes_nothing(executor):
    executor.apply(FIRST)
    state = executor.catalogue()
    again = executor.apply(FIRST)
    assert executor.catalogue() == state
    assert again == []
    executor.previous = None
    executor.apply(FIRST)
    assert executor.catalogue() == state
    executor.sql("ALTER ROLE app_reader PASSWORD 'set by hand' CREATEDB NOINHERIT CONNECTION LIMIT 7")
    assert executor.catalogue() != state
    executor.apply(FIRST)
    assert executor.catalogue() == state
    attributes = executor.sql(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolpassword "
        f"FROM pg_authid WHERE rolname = '{ADMINISTRATOR}'"
    )
    assert attributes == [(False, True, True, True, False, False, None)]
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'app'"
    assert executor.sql(owner) == [(ADMINISTRATOR,)]


def test_roles_can_do_what_is_declared_and_no_more(executor):
    executor.apply(FIRST)
    executor.sql("CREATE TABLE ours (id int); INSERT INTO ours VALUES (1)", "app", ADMINISTRATOR)
    executor.sql("CREATE FUNCTION ours_f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "app", ADMINISTRATOR)
    executor.sql('CREATE TABLE "it\'s".ours2 (id int)', "app", ADMINISTRATOR)
    assert executor.sql("SELECT * FROM ours", "app", "app_reader") == [(1,)]
    assert executor.sql("INSERT INTO ours VALUES (2) RETURNING id", "app", "app_writer") == [(2,)]
    assert executor.sql('SELECT * FROM "it\'s".ours2', "app", "app_writer") == []
    executor.sql("CREATE TEMPORARY TABLE t (id int)", "app", "app_writer")
    executor.sql("CREATE TABLE writers_own (id int)", "app", "app_writer")
    for statement in (
        "INSERT INTO ours VALUES (3)",
        "CREATE TABLE x (id int)",
        "CREATE TEMPORARY TABLE t (id int)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            executor.sql(statement, "app", "app_reader")
    executor.apply(FIRST)
    assert executor.sql("SELECT * FROM writers_own", "app", "app_reader") == []


def maker(name: str, *privileges: Grant) -> Role:
    return Role(name=name, connection_limit=2, databases=("app",), grants=privileges)


MIGRATED = replace(
    FIRST,
    databases=(Database(name="app"), Database(name="archive")),
    roles=(
        maker("migrator", grant(on="schema", privileges=("usage", "create"))),
        maker("maker", grant(schema="other", on="schema", privileges=("create", "usage"))),
        maker("founder", grant(on="database", schema=None, privileges=("create",))),
        replace(
            READER,
            databases=("app", "archive"),
            settings=(("search_path", '"$user", public, user'), ("statement_timeout", "30000")),
            grants=(
                *READER.grants,
                grant(database="archive", on="tables", privileges=("select",)),
                grant(on="functions", privileges=("execute",)),
                grant(schema="other", on="schema", privileges=("usage",)),
                grant(schema="other", on="tables", privileges=("select", "insert")),
                grant(schema="founded", on="schema", privileges=("usage",)),
                grant(schema="founded", on="tables", privileges=("select",)),
            ),
        ),
    ),
)


@pytest.mark.parametrize("cluster", [15, 17], indirect=True)
def test_what_a_role_that_may_create_makes_is_visible_at_once(executor):
    without = replace(MIGRATED, roles=MIGRATED.roles[:3])
    executor.apply(without)
    executor.sql("CREATE SCHEMA founded", "app", "founder")
    executor.apply(MIGRATED)
    executor.sql("CREATE TABLE t (id serial); CREATE VIEW v AS SELECT * FROM t", "app", "migrator")
    executor.sql("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "app", "migrator")
    executor.sql("REVOKE ALL ON FUNCTION f() FROM PUBLIC", "app", "migrator")
    executor.sql("CREATE TABLE other.t (id int)", "app", "maker")
    executor.sql("CREATE TABLE founded.t (id int)", "app", "founder")
    for query in (
        "SELECT * FROM t",
        "SELECT * FROM v",
        "SELECT last_value FROM t_id_seq",
        "SELECT f()",
        "INSERT INTO other.t VALUES (1) RETURNING id",
        "SELECT * FROM founded.t",
    ):
        executor.sql(query, "app", "app_reader")
    assert executor.reconcile(MIGRATED) == Reconciliation()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        executor.sql("INSERT INTO t VALUES (1)", "app", "app_reader")


@pytest.mark.parametrize("cluster", [17], indirect=True)
def test_default_privileges_end_with_the_right_to_create_or_with_the_grant(executor):
    executor.apply(MIGRATED)
    state = executor.catalogue()
    assert {owner for owner, *_ in state["app defaults"]} == {ADMINISTRATOR, "founder", "maker", "migrator"}
    of_migrator = "ALTER DEFAULT PRIVILEGES FOR ROLE migrator IN SCHEMA public"
    executor.sql(f"{of_migrator} REVOKE ALL ON TABLES FROM app_reader", "app")
    assert executor.reconcile(MIGRATED).put_back == (
        "grant select on later tables of migrator in schema public of app to app_reader",
    )
    migrator, *others = MIGRATED.roles
    executor.apply(replace(MIGRATED, roles=(replace(migrator, grants=()), *others[1:])))
    assert {owner for owner, *_ in executor.catalogue()["app defaults"]} == {ADMINISTRATOR, "founder"}
    executor.apply(replace(MIGRATED, roles=(migrator, *others[:2])))
    assert executor.catalogue()["app defaults"] == []
    executor.apply(MIGRATED)
    assert executor.catalogue() == state


WATCHER = Role(
    name="watcher",
    connection_limit=1,
    databases=("app",),
    member_of=("pg_monitor", "pg_signal_backend", "pg_read_all_data"),
)
WATCHED = replace(FIRST, databases=(Database(name="app"),), roles=(READER, WATCHER))


def check_memberships(executor):
    """Given, given back, taken back, and ended with the declaration or the role."""
    without = replace(WATCHED, roles=(READER, replace(WATCHER, member_of=())))
    executor.apply(without)
    bare = executor.catalogue()
    executor.apply(WATCHED)
    state = executor.catalogue()
    executor.sql("CREATE TABLE ours (id int)", "app", ADMINISTRATOR)
    assert executor.sql("SELECT * FROM ours", "app", "watcher") == []
    executor.sql("DROP TABLE ours", "app", ADMINISTRATOR)
    assert executor.reconcile(WATCHED) == Reconciliation()
    by_hand = [
        "REVOKE pg_monitor FROM watcher",
        "GRANT pg_read_all_data TO watcher WITH ADMIN OPTION",
        "GRANT pg_checkpoint TO watcher",
        *(["GRANT pg_signal_backend TO watcher WITH INHERIT FALSE"] if executor.cluster.major >= 16 else []),
    ]
    for statement in by_hand:
        executor.sql(statement, user=LOGINS["superuser" if executor.platform == "server" else "master"])
    found = executor.reconcile(WATCHED)
    assert found.failures == ()
    assert {
        "role watcher is a member of pg_monitor",
        "role watcher no longer lets others be members of pg_read_all_data",
        "role watcher is no longer a member of pg_checkpoint",
    } <= set(found.put_back)
    assert len(found.put_back) == len(by_hand)
    assert executor.catalogue() == state
    executor.apply(without)
    assert executor.catalogue() == bare
    executor.apply(WATCHED)
    assert executor.catalogue() == state
    executor.apply(replace(WATCHED, roles=(READER,)))
    groups = (
        "SELECT 1 FROM pg_auth_members WHERE member = 'watcher'::regrole AND roleid::regrole::text ~ '^pg'"
    )
    assert executor.sql(groups) == []


@pytest.mark.parametrize("cluster", [15, 17], indirect=True)
def test_memberships_in_predefined_roles(executor):
    check_memberships(executor)


@pytest.mark.parametrize("cluster", [17], indirect=True)
def test_grants_on_named_objects(executor):
    single = (
        READER.grants[0],
        grant(on="tables", privileges=("select", "insert"), objects=("orders", "o'view")),
        grant(on="sequences", privileges=("usage",), objects=("numbers",)),
        grant(on="functions", privileges=("execute",), objects=("f",)),
    )
    named = replace(FIRST, databases=(Database(name="app"),), roles=(replace(READER, grants=single),))
    executor.apply(named)
    assert executor.reconcile(named) == Reconciliation()
    executor.sql(
        "CREATE TABLE orders (id int); CREATE TABLE other (id int); CREATE SEQUENCE numbers; "
        'CREATE SEQUENCE others; CREATE VIEW "o\'view" AS SELECT 1; '
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        "REVOKE ALL ON FUNCTION f(), f(int) FROM PUBLIC",
        "app",
        ADMINISTRATOR,
    )
    found = executor.reconcile(named)
    assert (found.put_back, found.failures, len(found.routine)) == ((), (), 4)
    assert "grant select, insert on tables orders in schema public of app to app_reader" in found.routine
    state = executor.catalogue()
    executor.sql("INSERT INTO orders VALUES (1); SELECT nextval('numbers'), f(), f(1)", "app", "app_reader")
    for refused in ("SELECT * FROM other", "SELECT nextval('others')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            executor.sql(refused, "app", "app_reader")
    executor.sql("GRANT SELECT ON other TO app_reader; REVOKE SELECT ON orders FROM app_reader", "app")
    assert "take select on tables other in schema public of app from app_reader" in str(
        executor.reconcile(named).put_back
    )
    assert executor.catalogue() == state
    on_all = replace(named, roles=(READER,))
    executor.apply(on_all)
    assert executor.sql("SELECT * FROM other", "app", "app_reader") == []
    executor.apply(named)
    assert executor.catalogue() == state
    executor.apply(replace(named, roles=(replace(READER, grants=single[:1]),)))
    assert "app_reader" not in str(executor.catalogue()["app relations"])


@pytest.mark.parametrize("cluster", [15, 18], indirect=True)
def test_grants_on_columns(executor):
    single = (
        READER.grants[0],
        grant(on="tables", privileges=("select",), objects=("orders", "later"), columns=("id", "a'b")),
        grant(on="tables", privileges=("update",), objects=("orders",), columns=("id",)),
    )
    named = replace(FIRST, databases=(Database(name="app"),), roles=(replace(READER, grants=single),))
    create = 'CREATE TABLE {} (id int, "a\'b" int, secret int)'
    executor.apply(named)
    executor.sql(create.format("orders"), "app", ADMINISTRATOR)
    found = executor.reconcile(named)
    assert (found.put_back, found.failures, len(found.routine)) == ((), (), 2)
    assert executor.reconcile(named) == Reconciliation()
    state = executor.catalogue()
    executor.sql('SELECT id, "a\'b" FROM orders; UPDATE orders SET id = 1', "app", "app_reader")
    for refused in ("SELECT secret FROM orders", 'UPDATE orders SET "a\'b" = 1', "SELECT * FROM orders"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            executor.sql(refused, "app", "app_reader")
    # Another column, the whole table, and a column that is taken away.
    for by_hand in (
        "GRANT SELECT (secret) ON orders TO app_reader",
        "GRANT SELECT ON orders TO app_reader",
        "REVOKE UPDATE (id) ON orders FROM app_reader",
    ):
        executor.sql(by_hand, "app", ADMINISTRATOR)
        found = executor.reconcile(named)
        assert found.failures == ()
        assert found.put_back or found.routine
        assert executor.catalogue() == state
    whole = replace(single[2], privileges=("select",), columns=())
    executor.apply(replace(named, roles=(replace(READER, grants=(READER.grants[0], whole)),)))
    assert executor.sql("SELECT * FROM orders", "app", "app_reader") == []
    executor.apply(named)
    assert executor.catalogue() == state
    executor.apply(replace(named, roles=(replace(READER, grants=single[:1]),)))
    left = "SELECT count(*) FROM pg_attribute WHERE attacl::text LIKE '%app_reader%'"
    assert executor.sql(left, "app") == [(0,)]


@pytest.mark.parametrize("cluster", [17], indirect=True)
def test_settings_of_roles(executor):
    settings = (("search_path", '"$user", user, app'), ("statement_timeout", "30000"), ("work_mem", "8MB"))
    without = replace(FIRST, databases=(Database(name="app"),), roles=(READER,))
    executor.apply(without)
    bare = executor.catalogue()
    declared = replace(without, roles=(replace(READER, settings=settings),))
    executor.apply(declared)
    state = executor.catalogue()
    query = "SELECT current_setting('search_path'), current_setting('statement_timeout')"
    assert executor.sql(query, "app", "app_reader") == [('"$user", "user", app', "30s")]
    assert executor.reconcile(declared) == Reconciliation()
    executor.sql("ALTER ROLE app_reader SET work_mem = '9MB'; ALTER ROLE app_reader RESET search_path")
    executor.sql("ALTER ROLE app_reader SET jit = off")
    executor.sql("ALTER ROLE app_reader IN DATABASE app SET work_mem = '1MB'")
    found = executor.reconcile(declared)
    assert found.put_back == ("setting search_path of role app_reader", "setting work_mem of role app_reader")
    assert found.foreign == (
        "ALTER ROLE app_reader IN DATABASE app SET work_mem: not declared",
        "ALTER ROLE app_reader SET jit: not declared",
    )
    executor.sql("ALTER ROLE app_reader RESET jit; ALTER ROLE app_reader IN DATABASE app RESET work_mem")
    assert executor.catalogue() == state
    executor.apply(without)
    assert executor.catalogue() == bare
    executor.apply(declared)
    executor.apply(replace(without, roles=()))
    assert executor.sql("SELECT rolconfig FROM pg_roles WHERE rolname = 'app_reader'") == [(None,)]


def test_removed_grants_and_roles_go_and_come_back(executor):
    executor.apply(FIRST)
    executor.sql("CREATE TABLE ours (id int)", "app", ADMINISTRATOR)
    executor.apply(FIRST)
    first = executor.catalogue()
    smaller = replace(FIRST, roles=(replace(READER, databases=("app",), grants=READER.grants[:1]),))
    executor.apply(smaller)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        executor.sql("SELECT * FROM ours", "app", "app_reader")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        executor.sql("SELECT 1", "app", "app_writer")
    assert "app_writer" not in str(executor.catalogue()["app relations"])
    assert "app_writer" not in str(executor.catalogue()["app defaults"])
    assert "app_writer" not in str(executor.catalogue()["databases"])
    executor.apply(FIRST)
    assert executor.catalogue() == first


def test_the_way_to_a_declaration_leaves_no_trace(executor):
    only_reader = replace(FIRST, roles=(READER,))
    executor.apply(only_reader)
    direct = executor.catalogue()
    wider = replace(
        READER,
        connection_limit=9,
        grants=(*READER.grants, grant(on="tables", privileges=("insert", "truncate"))),
    )
    executor.apply(replace(FIRST, roles=(wider,)))
    assert executor.catalogue() != direct
    executor.apply(only_reader)
    assert executor.catalogue() == direct


def test_what_others_made_stays(executor):
    executor.apply(FIRST)
    executor.sql("CREATE ROLE by_hand LOGIN CONNECTION LIMIT 3")
    executor.sql("CREATE TABLE ours (id int)", "app", ADMINISTRATOR)
    executor.sql("GRANT CONNECT ON DATABASE app TO by_hand")
    executor.sql("GRANT USAGE ON SCHEMA public TO by_hand", "app")
    executor.sql("GRANT SELECT ON ours TO by_hand", "app", ADMINISTRATOR)
    executor.apply(FIRST)
    executor.apply(replace(FIRST, roles=(replace(READER, grants=()),)))
    assert executor.sql("SELECT * FROM ours", "app", "by_hand") == []
    assert executor.sql("SELECT has_table_privilege('app_reader', 'ours', 'SELECT')", "app") == [(False,)]
    assert executor.sql("SELECT rolcanlogin, rolconnlimit FROM pg_roles WHERE rolname = 'by_hand'") == [
        (True, 3)
    ]


def test_a_grant_that_was_refused_is_not_in_the_way_of_the_declaration_without_it(executor):
    """It was recorded before it was tried, and what was never granted cannot be revoked."""
    executor.apply(FIRST)
    state = executor.catalogue()
    executor.sql("CREATE SCHEMA strangers", "app")
    refused = replace(
        READER, grants=(*READER.grants, grant(schema="strangers", on="schema", privileges=("usage",)))
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="strangers"):
        executor.apply(replace(FIRST, roles=(WRITER, refused)))
    executor.previous = replace(FIRST, roles=(WRITER, refused))
    executor.apply(FIRST)
    executor.sql("DROP SCHEMA strangers", "app")
    assert executor.catalogue() == state


def test_a_second_database_is_apart_and_may_vanish(executor):
    both = replace(
        FIRST,
        databases=(*FIRST.databases, Database(name="other")),
        roles=(replace(WRITER, databases=("app", "other")), READER),
    )
    executor.apply(both)
    assert executor.sql("SELECT 1", "other", "app_writer") == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        executor.sql("SELECT 1", "other", "app_reader")
    executor.sql('DROP SCHEMA "it\'s" CASCADE', "app")
    executor.sql("DROP OWNED BY app_writer", "app")
    executor.sql("DROP OWNED BY app_writer", "other")
    executor.sql("DROP ROLE app_writer")
    executor.sql("DROP DATABASE other")
    executor.apply(replace(FIRST, roles=(READER,)))
    assert executor.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app_writer'") == []


def test_names_with_quotes_are_names(executor):
    name = """o'neill "the\\admin" $$; DROP"""
    role = Role(
        name=name.lower(),
        connection_limit=1,
        databases=("app",),
        grants=(grant(schema="quo\"te'", on="tables", privileges=("select",)),),
    )
    declaration = Declaration(administrator=ADMINISTRATOR, databases=(Database(name="app"),), roles=(role,))
    executor.apply(declaration)
    assert executor.sql("SELECT current_user", "app", name.lower()) == [(name.lower(),)]
    executor.apply(replace(declaration, roles=()))
