"""`postgresql.Extension`."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from emulator.core.resource_type import Call, Properties, State
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

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        """Creates it. The server decides who may: the database's owner, where the extension is trusted."""
        if call.preview:
            return "", self.planned(inputs)
        wanted = self.given(inputs)
        server = server_of(call)
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
        return f"{database}.{wanted['name']}", self._found(call, database, wanted["name"], state) or state

    def read(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> State | None:
        """The extension with its schema and version."""
        database, name = resource_id.split(".", 1)
        found = self._found(call, database, name, {**self.given(inputs), **outputs})
        if found is None:
            return None
        return State(id=resource_id, inputs=inputs or found, outputs=found)

    def update(
        self,
        call: Call,
        resource_id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        inputs: Properties,
    ) -> Properties:
        """Moves to another schema and updates to another version."""
        del resource_id, old_inputs
        if call.preview:
            return {**old_outputs, **inputs}
        wanted = {**old_outputs, **{k: v for k, v in self.given(inputs).items() if v is not None}}
        name = sql.Identifier(wanted["name"])
        with server_of(call).session(wanted["database"]) as session:
            if wanted["schema"] != old_outputs.get("schema"):
                schema = sql.Identifier(wanted["schema"])
                session.run(sql.SQL("ALTER EXTENSION {} SET SCHEMA {}").format(name, schema))
            if wanted["version"] != old_outputs.get("version"):
                version = sql.Literal(wanted["version"])
                session.run(sql.SQL("ALTER EXTENSION {} UPDATE TO {}").format(name, version))
        return self._found(call, wanted["database"], wanted["name"], wanted) or wanted

    def delete(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Drops it; with dependants only by `dropCascade`."""
        database, name = resource_id.split(".", 1)
        mode = sql.SQL("CASCADE" if {**inputs, **outputs}.get("dropCascade") else "RESTRICT")
        with server_of(call).session(database) as session:
            session.run(sql.SQL("DROP EXTENSION IF EXISTS {} {}").format(sql.Identifier(name), mode))

    def _found(self, call: Call, database: str, name: str, state: Properties) -> dict[str, Any] | None:
        server = server_of(call)
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
