"""`postgresql.Schema`."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from emulator.core.resource_type import Call, Properties, State
from emulator.postgresql.membership import with_roles
from emulator.postgresql.state_diff import Argument, PostgresqlType, server_of


class SchemaType(PostgresqlType):
    """A schema in a database (default: the provider's). One that exists already is taken over."""

    token = "postgresql:index/schema:Schema"
    autonamed = True
    arguments = {  # noqa: RUF012
        "name": Argument(),
        "database": Argument(computed=True, replaces=True),
        "owner": Argument(computed=True),
        "ifNotExists": Argument(default=True),
        "dropCascade": Argument(default=False),
    }

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        """Creates it, for its owner where one is given."""
        if call.preview:
            return "", self.planned(inputs)
        wanted = self.given(inputs)
        server = server_of(call)
        database = wanted["database"] or server.arguments.database
        name, owner = wanted["name"], wanted["owner"]
        with server.session(database) as session:
            database_owner = session.value(
                "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()"
            )
            roles = [database_owner, *([owner] if owner and owner != database_owner else [])]
            with with_roles(session, roles):
                if not session.schema_exists(name):
                    session.run(
                        sql.SQL("CREATE SCHEMA {}{}{}").format(
                            sql.SQL("IF NOT EXISTS " if wanted["ifNotExists"] else ""),
                            sql.Identifier(name),
                            sql.SQL(" AUTHORIZATION {}").format(sql.Identifier(owner))
                            if owner
                            else sql.SQL(""),
                        )
                    )
                elif owner:
                    session.run(
                        sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(
                            sql.Identifier(name), sql.Identifier(owner)
                        )
                    )
        state = {**wanted, "database": database}
        return f"{database}.{name}", self._found(call, database, name, state) or state

    def read(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> State | None:
        """The schema with its owner."""
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
        """Renames and gives to another owner."""
        del resource_id, old_inputs
        if call.preview:
            return {**old_outputs, **inputs}
        wanted = {**old_outputs, **{k: v for k, v in self.given(inputs).items() if v is not None}}
        with server_of(call).session(wanted["database"]) as session:
            name = sql.Identifier(wanted["name"])
            if wanted["name"] != old_outputs["name"]:
                old = sql.Identifier(old_outputs["name"])
                session.run(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(old, name))
            if wanted["owner"] != old_outputs.get("owner"):
                owner = sql.Identifier(wanted["owner"])
                session.run(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(name, owner))
        return self._found(call, wanted["database"], wanted["name"], wanted) or wanted

    def delete(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Drops it; with objects in it only by `dropCascade`."""
        database, name = resource_id.split(".", 1)
        mode = sql.SQL("CASCADE" if {**inputs, **outputs}.get("dropCascade") else "RESTRICT")
        with server_of(call).session(database) as session:
            if not session.schema_exists(name):
                return
            with with_roles(session, [outputs["owner"]] if outputs.get("owner") else []):
                session.run(sql.SQL("DROP SCHEMA {} {}").format(sql.Identifier(name), mode))

    def _found(self, call: Call, database: str, name: str, state: Properties) -> dict[str, Any] | None:
        server = server_of(call)
        with server.session() as session:
            if not session.database_exists(database):
                return None
        with server.session(database) as session:
            owner = session.value(
                "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = %s", name
            )
        return None if owner is None else {**state, "name": name, "database": database, "owner": owner}
