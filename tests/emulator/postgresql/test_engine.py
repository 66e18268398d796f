"""pulumi-postgresql on the real engine with the stand-in and a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from emulator.postgresql import PostgresqlProvider

PROGRAM = """
    import pulumi, pulumi_postgresql as postgresql

    config = pulumi.Config()
    server = postgresql.Provider("server", host="127.0.0.1", port=config.require_int("port"),
        max_connections={connections}, username="engine_admin", sslmode="disable", superuser=False)
    opts = pulumi.ResourceOptions(provider=server)
    role = postgresql.Role("app", name="engine_app", login=True, connection_limit=20, opts=opts,
        password=pulumi.Output.secret("hunter2-secret"))
    database = postgresql.Database("database", name="engine_database",
        opts=pulumi.ResourceOptions(provider=server, depends_on=[role]))
    schema = postgresql.Schema("schema", name="app", database=database.name, opts=opts)
    postgresql.Grant("usage", role=role.name, database=database.name, schema=schema.name,
        object_type="schema", privileges={privileges}, opts=opts)
    postgresql.DefaultPrivileges("tables", role=role.name, database=database.name, schema=schema.name,
        owner="engine_admin", object_type="table", privileges=["SELECT"], opts=opts)
    auto = postgresql.Role("auto", opts=opts)
    pulumi.export("auto", auto.name)
    pulumi.export("owner", database.owner)
"""


@pytest.mark.long
def test_a_database_from_creation_to_destruction(
    serve: Callable[[Provider], ProviderServer], stack: Any, postgresql_server: Any
) -> None:
    postgresql_server.rows("CREATE ROLE engine_admin LOGIN CREATEROLE CREATEDB")
    postgresql_server.rows("ALTER ROLE engine_admin SET createrole_self_grant = 'set, inherit'")
    stack.providers["postgresql"] = serve(PostgresqlProvider()).port
    stack.run("config", "set", "port", str(postgresql_server.port))

    stack.program(PROGRAM.format(connections=4, privileges=["USAGE"]))
    up = stack.up()
    assert up.status == 0, up.output
    assert up.changes["created"] >= 7
    assert "hunter2-secret" not in up.output
    assert all("hunter2-secret" not in str(resource) for resource in stack.state().values())
    outputs = stack.outputs()
    assert outputs["owner"] == "engine_admin"
    assert outputs["auto"].startswith("auto-")
    query = "SELECT has_schema_privilege('engine_app', 'app', unnest(ARRAY['USAGE', 'CREATE']))"
    assert postgresql_server.rows(query, database="engine_database") == [(True,), (False,)]

    again = stack.up("--refresh", "--expect-no-changes")
    assert again.status == 0, again.output

    stack.program(PROGRAM.format(connections=5, privileges=["USAGE", "CREATE"]))
    changed = stack.up()
    assert changed.changes["updated"] == 2, changed.output
    assert postgresql_server.rows(query, database="engine_database") == [(True,), (True,)]

    gone = stack.run("destroy", "--yes", "--skip-preview")
    assert gone.status == 0, gone.output
    assert postgresql_server.rows("SELECT 1 FROM pg_database WHERE datname = 'engine_database'") == []
    assert postgresql_server.rows("SELECT 1 FROM pg_roles WHERE rolname = 'engine_app'") == []
