"""`postgresql.Extension`."""

from __future__ import annotations

from psycopg import sql

from emulator.core.resource_type import Properties
from emulator.postgresql.connection import Session
from emulator.postgresql.database_object import DatabaseObjectType
from emulator.postgresql.postgresql_type import Argument


class ExtensionType(DatabaseObjectType):
    """An extension. One that exists already is taken over.

    The server decides who may create it: the database's owner, where the extension is trusted.
    """

    token = "postgresql:index/extension:Extension"
    arguments = {  # noqa: RUF012
        "name": Argument(replaces=True),
        "database": Argument(computed=True, replaces=True),
        "schema": Argument(computed=True),
        "version": Argument(computed=True),
        "createCascade": Argument(default=False),
        "dropCascade": Argument(default=False),
    }

    def make_in(self, session: Session, database: str, wanted: Properties) -> None:
        options: list[sql.Composable] = []
        if wanted["schema"]:
            options.append(sql.SQL("SCHEMA {}").format(sql.Identifier(wanted["schema"])))
        if wanted["version"]:
            options.append(sql.SQL("VERSION {}").format(sql.Literal(wanted["version"])))
        if wanted["createCascade"]:
            options.append(sql.SQL("CASCADE"))
        session.lock_database(database)
        session.execute("CREATE EXTENSION IF NOT EXISTS {} {}", wanted["name"], sql.SQL(" ").join(options))

    def find_in(self, session: Session, name: str) -> Properties | None:
        rows = session.rows(
            "SELECT nspname::text, extversion FROM pg_extension "
            "JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = %s",
            name,
        )
        return dict(zip(("schema", "version"), rows[0], strict=True)) if rows else None

    def alter_in(self, session: Session, old: Properties, wanted: Properties) -> None:
        if wanted["schema"] != old.get("schema"):
            session.execute("ALTER EXTENSION {} SET SCHEMA {}", wanted["name"], wanted["schema"])
        if wanted["version"] != old.get("version"):
            version = sql.Literal(wanted["version"])
            session.execute("ALTER EXTENSION {} UPDATE TO {}", wanted["name"], version)

    def drop_in(self, session: Session, name: str, state: Properties) -> None:
        mode = sql.SQL("CASCADE" if state["dropCascade"] else "RESTRICT")
        session.execute("DROP EXTENSION IF EXISTS {} {}", name, mode)
