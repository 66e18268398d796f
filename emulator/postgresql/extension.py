"""`postgresql.Extension`."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from emulator.core.request import Request
from emulator.core.resource_type import Properties, State
from emulator.postgresql.state_diff import Argument, PostgresqlType, server_of


class ExtensionType(PostgresqlType):
    """An extension in a database (default: the provider's). One that exists already is taken over."""

    token = "postgresql:index/extension:Extension"
    autonamed = True
    arguments = {  # noqa: RUF012
        "name": Argument(replaces=True),
        "database": Argument(computed=True, replaces=True),
        "schema": Argument(computed=True),
        "version": Argument(computed=True),
        "createCascade": Argument(default=False),
        "dropCascade": Argument(default=False),
    }

    def create(self, request: Request) -> tuple[str, Properties]:
        """Creates it. The server decides who may: the database's owner, where the extension is trusted."""
        if request.preview:
            return "", self.planned(request.inputs)
        wanted = self.given(request.inputs)
        server = server_of(request)
        database = wanted["database"] or server.arguments.database
        options = []
        if wanted["schema"]:
            options.append(sql.SQL("SCHEMA {}").format(sql.Identifier(wanted["schema"])))
        if wanted["version"]:
            options.append(sql.SQL("VERSION {}").format(sql.Literal(wanted["version"])))
        if wanted["createCascade"]:
            options.append(sql.SQL("CASCADE"))
        with server.session(database) as session:
            session.lock_database(database)
            session.run(
                sql.SQL("CREATE EXTENSION IF NOT EXISTS {} {}").format(
                    sql.Identifier(wanted["name"]), sql.SQL(" ").join(options)
                )
            )
        state = {**wanted, "database": database}
        return f"{database}.{wanted['name']}", self._found(request, database, wanted["name"], state) or state

    def read(self, request: Request) -> State | None:
        """The extension with its schema and version."""
        database, name = request.id.split(".", 1)
        found = self._found(request, database, name, {**self.given(request.inputs), **request.outputs})
        if found is None:
            return None
        return State(id=request.id, inputs=request.inputs or found, outputs=found)

    def update(self, request: Request) -> Properties:
        """Moves to another schema and updates to another version."""
        if request.preview:
            return {**request.outputs, **request.inputs}
        wanted = {**request.outputs, **{k: v for k, v in self.given(request.inputs).items() if v is not None}}
        name = sql.Identifier(wanted["name"])
        with server_of(request).session(wanted["database"]) as session:
            if wanted["schema"] != request.outputs.get("schema"):
                schema = sql.Identifier(wanted["schema"])
                session.run(sql.SQL("ALTER EXTENSION {} SET SCHEMA {}").format(name, schema))
            if wanted["version"] != request.outputs.get("version"):
                version = sql.Literal(wanted["version"])
                session.run(sql.SQL("ALTER EXTENSION {} UPDATE TO {}").format(name, version))
        return self._found(request, wanted["database"], wanted["name"], wanted) or wanted

    def delete(self, request: Request) -> None:
        """Drops it; with dependants only by `dropCascade`."""
        database, name = request.id.split(".", 1)
        mode = sql.SQL("CASCADE" if {**request.inputs, **request.outputs}.get("dropCascade") else "RESTRICT")
        with server_of(request).session(database) as session:
            session.run(sql.SQL("DROP EXTENSION IF EXISTS {} {}").format(sql.Identifier(name), mode))

    def _found(self, request: Request, database: str, name: str, state: Properties) -> dict[str, Any] | None:
        server = server_of(request)
        with server.session() as session:
            if not session.database_exists(database):
                return None
        with server.session(database) as session:
            rows = session.rows(
                "SELECT nspname::text, extversion FROM pg_extension "
                "JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = %s",
                name,
            )
        if not rows:
            return None
        schema, version = rows[0]
        return {**state, "name": name, "database": database, "schema": schema, "version": version}
