"""`postgresql.Database`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import sql

from emulator.core.request import Request
from emulator.core.resource_type import Properties, State
from emulator.postgresql.connection import Session
from emulator.postgresql.membership import grant_membership, revoke_membership
from emulator.postgresql.state_diff import Argument, PostgresqlType, server_of


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

    def create(self, request: Request) -> tuple[str, Properties]:
        """Creates from template0 in UTF-8 unless told otherwise."""
        if request.preview:
            return "", self.planned(request.inputs)
        wanted = self.given(request.inputs)
        server = server_of(request)
        options = [
            sql.SQL("OWNER {}").format(sql.Identifier(wanted["owner"] or server.owner)),
            sql.SQL("TEMPLATE {}").format(sql.Identifier(wanted["template"] or "template0")),
            sql.SQL("ENCODING {}").format(sql.Literal(wanted["encoding"] or "UTF8")),
        ]
        if wanted["lcCollate"]:
            options.append(sql.SQL("LC_COLLATE {}").format(sql.Literal(wanted["lcCollate"])))
        if wanted["lcCtype"]:
            options.append(sql.SQL("LC_CTYPE {}").format(sql.Literal(wanted["lcCtype"])))
        if wanted["tablespaceName"]:
            options.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(wanted["tablespaceName"])))
        options.append(sql.SQL("ALLOW_CONNECTIONS {}").format(sql.Literal(wanted["allowConnections"])))
        options.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(wanted["connectionLimit"])))
        options.append(sql.SQL("IS_TEMPLATE {}").format(sql.Literal(bool(wanted["isTemplate"]))))
        name = sql.Identifier(wanted["name"])
        with server.session(autocommit=True) as session, _as_member(session, wanted["owner"]):
            session.run(sql.SQL("CREATE DATABASE {} {}").format(name, sql.SQL(" ").join(options)))
        return wanted["name"], self._found(request, wanted["name"], wanted) or wanted

    def read(self, request: Request) -> State | None:
        """The database as the catalogue has it."""
        found = self._found(request, request.id, {**self.given(request.inputs), **request.outputs})
        if found is None:
            return None
        return State(id=request.id, inputs=request.inputs or found, outputs=found)

    def update(self, request: Request) -> Properties:
        """Alters what differs."""
        if request.preview:
            return {**request.outputs, **request.inputs}
        wanted = {**request.outputs, **self.given(request.inputs)}
        wanted.update({name: request.outputs.get(name) for name, value in wanted.items() if value is None})
        name = sql.Identifier(wanted["name"])

        def differs(argument: str) -> bool:
            return request.outputs.get(argument) != wanted[argument]

        with server_of(request).session(autocommit=True) as session:
            if differs("name"):
                old = sql.Identifier(request.outputs["name"])
                session.run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, name))
            if differs("owner"):
                with _as_member(session, wanted["owner"]):
                    owner = sql.Identifier(wanted["owner"])
                    session.run(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))
            if differs("tablespaceName"):
                tablespace = sql.Identifier(wanted["tablespaceName"])
                session.run(sql.SQL("ALTER DATABASE {} SET TABLESPACE {}").format(name, tablespace))
            if differs("connectionLimit"):
                limit = sql.Literal(wanted["connectionLimit"])
                session.run(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, limit))
            if differs("allowConnections"):
                allowed = sql.Literal(wanted["allowConnections"])
                session.run(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, allowed))
            if differs("isTemplate"):
                template = sql.Literal(wanted["isTemplate"])
                session.run(sql.SQL("ALTER DATABASE {} IS_TEMPLATE {}").format(name, template))
        return self._found(request, wanted["name"], wanted) or wanted

    def delete(self, request: Request) -> None:
        """Drops the database and ends its sessions."""
        name = sql.Identifier(request.id)
        with server_of(request).session(autocommit=True) as session:
            if not session.database_exists(request.id):
                return
            with _as_member(session, request.outputs.get("owner")):
                if request.outputs.get("isTemplate"):
                    session.run(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(name))
                session.run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def _found(self, request: Request, name: str, state: Properties) -> dict[str, Any] | None:
        with server_of(request).session() as session:
            rows = session.rows(
                "SELECT pg_get_userbyid(datdba)::text, pg_encoding_to_char(encoding)::text, datcollate, "
                "datctype, "
                "spcname::text, datconnlimit, datallowconn, datistemplate FROM pg_database "
                "JOIN pg_tablespace ON dattablespace = pg_tablespace.oid WHERE datname = %s",
                name,
            )
        if not rows:
            return None
        columns = (
            "owner",
            "encoding",
            "lcCollate",
            "lcCtype",
            "tablespaceName",
            "connectionLimit",
            "allowConnections",
            "isTemplate",
        )
        found = dict(zip(columns, rows[0], strict=True))
        return {**state, **found, "name": name, "template": state.get("template") or "template0"}


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
