"""`postgresql.Database`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

from psycopg import sql

from emulator.core.resource_type import Properties
from emulator.postgresql.connection import Server, Session
from emulator.postgresql.membership import grant_membership, revoke_membership
from emulator.postgresql.postgresql_type import Argument, PostgresqlType

_CATALOGUE = (
    "owner", "encoding", "lcCollate", "lcCtype", "tablespaceName", "connectionLimit", "allowConnections",
    "isTemplate",
)  # fmt: skip
_OPTIONS: Final[dict[str, LiteralString]] = {
    "connectionLimit": "CONNECTION LIMIT",
    "allowConnections": "ALLOW_CONNECTIONS",
    "isTemplate": "IS_TEMPLATE",
}


class DatabaseType(PostgresqlType):
    """A database. Without `owner` it belongs to the login, which is what a non-superuser needs."""

    token = "postgresql:index/database:Database"
    autonamed = True
    arguments = {  # noqa: RUF012
        "name": Argument(),
        "owner": Argument(computed=True),
        "template": Argument(computed=True, replaces=True),
        "encoding": Argument(computed=True, replaces=True),
        "lcCollate": Argument(computed=True, replaces=True),
        "lcCtype": Argument(computed=True, replaces=True),
        "tablespaceName": Argument(computed=True),
        "connectionLimit": Argument(default=-1, minimum=-1),
        "allowConnections": Argument(default=True),
        "isTemplate": Argument(computed=True),
    }

    def make(self, server: Server, wanted: Properties) -> tuple[str, Properties]:
        """Creates from template0 in UTF-8 unless other values are given."""
        values: dict[LiteralString, Any] = {
            "OWNER": sql.Identifier(wanted["owner"] or server.owner),
            "TEMPLATE": sql.Identifier(wanted["template"] or "template0"),
            "ENCODING": wanted["encoding"] or "UTF8",
            "LC_COLLATE": wanted["lcCollate"] or None,
            "LC_CTYPE": wanted["lcCtype"] or None,
            "TABLESPACE": sql.Identifier(wanted["tablespaceName"]) if wanted["tablespaceName"] else None,
            "ALLOW_CONNECTIONS": wanted["allowConnections"],
            "CONNECTION LIMIT": wanted["connectionLimit"],
            "IS_TEMPLATE": bool(wanted["isTemplate"]),
        }
        options = [
            sql.SQL(option + " {}").format(value) for option, value in values.items() if value is not None
        ]
        with server.session(autocommit=True) as session, _as_member(session, wanted["owner"]):
            session.execute("CREATE DATABASE {} {}", wanted["name"], sql.SQL(" ").join(options))
        return wanted["name"], wanted

    def alter(self, server: Server, old: Properties, wanted: Properties) -> tuple[str, Properties]:
        name = wanted["name"]
        differing = {argument for argument, value in wanted.items() if old.get(argument) != value}
        with server.session(autocommit=True) as session:
            if "name" in differing:
                session.execute("ALTER DATABASE {} RENAME TO {}", old["name"], name)
            if "owner" in differing:
                with _as_member(session, wanted["owner"]):
                    session.execute("ALTER DATABASE {} OWNER TO {}", name, wanted["owner"])
            if "tablespaceName" in differing:
                session.execute("ALTER DATABASE {} SET TABLESPACE {}", name, wanted["tablespaceName"])
            for argument, option in _OPTIONS.items():
                if argument in differing:
                    value = sql.Literal(wanted[argument])
                    session.execute("ALTER DATABASE {} {} {}", name, sql.SQL(option), value)
        return name, wanted

    def drop(self, server: Server, resource_id: str, state: Properties) -> None:
        """Drops the database and ends its sessions."""
        with server.session(autocommit=True) as session:
            if not session.database_exists(resource_id):
                return
            with _as_member(session, state["owner"]):
                if state["isTemplate"]:
                    session.execute("ALTER DATABASE {} IS_TEMPLATE false", resource_id)
                session.execute("DROP DATABASE {} WITH (FORCE)", resource_id)

    def find(self, server: Server, resource_id: str, state: Properties) -> Properties | None:
        with server.session() as session:
            rows = session.rows(
                "SELECT pg_get_userbyid(datdba)::text, pg_encoding_to_char(encoding)::text, datcollate, "
                "datctype, spcname::text, datconnlimit, datallowconn, datistemplate FROM pg_database "
                "JOIN pg_tablespace ON dattablespace = pg_tablespace.oid WHERE datname = %s",
                resource_id,
            )
        if not rows:
            return None
        found = dict(zip(_CATALOGUE, rows[0], strict=True))
        return {**state, **found, "name": resource_id, "template": state.get("template") or "template0"}


@contextmanager
def _as_member(session: Session, owner: str | None) -> Iterator[None]:
    """Makes the login a member of the owner meanwhile, as CREATE DATABASE ... OWNER needs; superusers too."""
    user = session.server.owner
    granted = bool(owner) and grant_membership(session, str(owner), user)
    try:
        yield
    finally:
        if granted:
            revoke_membership(session, str(owner), user)
