"""`postgresql.Schema`."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from emulator.core.request import Request
from emulator.core.resource_type import Properties, State
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

    def create(self, request: Request) -> tuple[str, Properties]:
        """Creates it, for its owner where one is given."""
        if request.preview:
            return "", self.planned(request.inputs)
        wanted = self.given(request.inputs)
        server = server_of(request)
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
        return f"{database}.{name}", self._found(request, database, name, state) or state

    def read(self, request: Request) -> State | None:
        """The schema with its owner."""
        database, name = request.id.split(".", 1)
        found = self._found(request, database, name, {**self.given(request.inputs), **request.outputs})
        if found is None:
            return None
        return State(id=request.id, inputs=request.inputs or found, outputs=found)

    def update(self, request: Request) -> Properties:
        """Renames and gives to another owner."""
        if request.preview:
            return {**request.outputs, **request.inputs}
        wanted = {**request.outputs, **{k: v for k, v in self.given(request.inputs).items() if v is not None}}
        with server_of(request).session(wanted["database"]) as session:
            name = sql.Identifier(wanted["name"])
            if wanted["name"] != request.outputs["name"]:
                old = sql.Identifier(request.outputs["name"])
                session.run(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(old, name))
            if wanted["owner"] != request.outputs.get("owner"):
                owner = sql.Identifier(wanted["owner"])
                session.run(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(name, owner))
        return self._found(request, wanted["database"], wanted["name"], wanted) or wanted

    def delete(self, request: Request) -> None:
        """Drops it; with objects in it only by `dropCascade`."""
        database, name = request.id.split(".", 1)
        mode = sql.SQL("CASCADE" if {**request.inputs, **request.outputs}.get("dropCascade") else "RESTRICT")
        with server_of(request).session(database) as session:
            if not session.schema_exists(name):
                return
            with with_roles(session, [request.outputs["owner"]] if request.outputs.get("owner") else []):
                session.run(sql.SQL("DROP SCHEMA {} {}").format(sql.Identifier(name), mode))

    def _found(self, request: Request, database: str, name: str, state: Properties) -> dict[str, Any] | None:
        server = server_of(request)
        with server.session() as session:
            if not session.database_exists(database):
                return None
        with server.session(database) as session:
            owner = session.value(
                "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = %s", name
            )
        return None if owner is None else {**state, "name": name, "database": database, "owner": owner}
