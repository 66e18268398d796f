"""`postgresql.Schema`."""

from __future__ import annotations

from psycopg import sql

from emulator.core.resource_type import Properties
from emulator.postgresql.connection import Session
from emulator.postgresql.database_object import DatabaseObjectType
from emulator.postgresql.membership import with_roles
from emulator.postgresql.postgresql_type import Argument


class SchemaType(DatabaseObjectType):
    """A schema. One that exists already is taken over."""

    token = "postgresql:index/schema:Schema"
    arguments = {  # noqa: RUF012
        "name": Argument(),
        "database": Argument(computed=True, replaces=True),
        "owner": Argument(computed=True),
        "ifNotExists": Argument(default=True),
        "dropCascade": Argument(default=False),
    }

    def make_in(self, session: Session, database: str, wanted: Properties) -> None:
        name, owner = wanted["name"], wanted["owner"]
        database_owner = session.value(
            "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()"
        )
        roles = [database_owner, *([owner] if owner and owner != database_owner else [])]
        with with_roles(session, roles):
            if not session.schema_exists(name):
                session.execute(
                    "CREATE SCHEMA {}{}{}",
                    sql.SQL("IF NOT EXISTS " if wanted["ifNotExists"] else ""),
                    name,
                    sql.SQL(" AUTHORIZATION {}").format(sql.Identifier(owner)) if owner else sql.SQL(""),
                )
            elif owner:
                session.execute("ALTER SCHEMA {} OWNER TO {}", name, owner)

    def find_in(self, session: Session, name: str) -> Properties | None:
        owner = session.value(
            "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = %s", name
        )
        return None if owner is None else {"owner": owner}

    def alter_in(self, session: Session, old: Properties, wanted: Properties) -> None:
        if wanted["name"] != old["name"]:
            session.execute("ALTER SCHEMA {} RENAME TO {}", old["name"], wanted["name"])
        if wanted["owner"] != old.get("owner"):
            session.execute("ALTER SCHEMA {} OWNER TO {}", wanted["name"], wanted["owner"])

    def drop_in(self, session: Session, name: str, state: Properties) -> None:
        if not session.schema_exists(name):
            return
        mode = sql.SQL("CASCADE" if state["dropCascade"] else "RESTRICT")
        with with_roles(session, [state["owner"]] if state["owner"] else []):
            session.execute("DROP SCHEMA {} {}", name, mode)
