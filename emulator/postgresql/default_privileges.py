"""`postgresql.DefaultPrivileges`."""

from __future__ import annotations

from typing import Any, Final, LiteralString

from psycopg import sql

from emulator.core.request import Request
from emulator.core.resource_type import Properties, Refused, State
from emulator.postgresql.connection import Session
from emulator.postgresql.membership import with_roles
from emulator.postgresql.privileges import (
    OBJECT_CODES,
    privilege_list,
    same_privileges,
    validate_privileges,
)
from emulator.postgresql.state_diff import Argument, PostgresqlType, server_of

_KEYWORDS: Final[dict[str, LiteralString]] = {
    "table": "TABLES",
    "sequence": "SEQUENCES",
    "function": "FUNCTIONS",
    "type": "TYPES",
    "schema": "SCHEMAS",
}


class DefaultPrivilegesType(PostgresqlType):
    """What a role gets on objects that `owner` will create. A replacement ends revoked, as in reality."""

    token = "postgresql:index/defaultPrivileges:DefaultPrivileges"
    arguments = {  # noqa: RUF012
        "role": Argument(replaces=True),
        "database": Argument(replaces=True),
        "owner": Argument(replaces=True),
        "schema": Argument(replaces=True),
        "objectType": Argument(replaces=True, allowed=tuple(_KEYWORDS)),
        "privileges": Argument(unordered=True),
        "withGrantOption": Argument(replaces=True, default=False),
    }

    def create(self, request: Request) -> tuple[str, Properties]:
        """Revokes and grants in one transaction."""
        if request.preview:
            return "", self.planned(request.inputs)
        wanted = self.given(request.inputs)
        parts = ("role", "database", "schema", "owner", "objectType")
        return "_".join(wanted[part] or "noschema" for part in parts), self._apply(request, wanted)

    def read(self, request: Request) -> State | None:
        """State with the default privileges that are there; gone when there are none."""
        state = {**self.given(request.inputs), **request.outputs}
        server = server_of(request)
        with server.session() as session:
            if not (session.role_exists(state["role"]) and session.database_exists(state["database"])):
                return None
        with server.session(state["database"]) as session:
            granted = _granted(session, state)
        if not granted and state["privileges"]:
            return None
        found = {**state, "privileges": granted}
        return State(id=request.id, inputs=request.inputs or found, outputs=found)

    def update(self, request: Request) -> Properties:
        """As creation."""
        if request.preview:
            return {**request.outputs, **request.inputs}
        return self._apply(request, self.given(request.inputs))

    def delete(self, request: Request) -> None:
        """Revokes."""
        state = {**self.given(request.inputs), **request.outputs}
        with server_of(request).session(state["database"]) as session:
            session.lock_role(state["owner"])
            with with_roles(session, [state["owner"]]):
                _revoke(session, state)

    def _apply(self, request: Request, wanted: Properties) -> dict[str, Any]:
        if wanted["schema"] and wanted["objectType"] == "schema":
            raise Refused("cannot specify `schema` when `object_type` is `schema`")
        if wanted["withGrantOption"] and wanted["role"].lower() == "public":
            raise Refused("with_grant_option cannot be true for role 'public'")
        validate_privileges(wanted["objectType"], wanted["privileges"])
        server = server_of(request)
        with server.session(wanted["database"]) as session:
            session.lock_role(wanted["owner"])
            with with_roles(session, [wanted["owner"]]):
                _revoke(session, wanted)
                if wanted["privileges"]:
                    session.run(
                        sql.SQL("{} GRANT {} ON {} TO {}{}").format(
                            _scope(wanted),
                            privilege_list(wanted["privileges"]),
                            sql.SQL(_KEYWORDS[wanted["objectType"]]),
                            sql.Identifier(wanted["role"]),
                            sql.SQL(" WITH GRANT OPTION" if wanted["withGrantOption"] else ""),
                        )
                    )
        with server.session(wanted["database"]) as session:
            return {**wanted, "privileges": _granted(session, wanted)}


def _scope(wanted: Properties) -> sql.Composable:
    schema = wanted["schema"]
    return sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{}").format(
        sql.Identifier(wanted["owner"]),
        sql.SQL(" IN SCHEMA {}").format(sql.Identifier(schema)) if schema else sql.SQL(""),
    )


def _revoke(session: Session, wanted: Properties) -> None:
    session.run(
        sql.SQL("{} REVOKE ALL ON {} FROM {}").format(
            _scope(wanted), sql.SQL(_KEYWORDS[wanted["objectType"]]), sql.Identifier(wanted["role"])
        )
    )


def _granted(session: Session, wanted: Properties) -> list[str]:
    kind = wanted["objectType"]
    grantee = session.value("SELECT oid FROM pg_roles WHERE rolname = %s", wanted["role"]) or 0
    granted = [
        privilege
        for (privilege,) in session.rows(
            "SELECT DISTINCT acl.privilege_type FROM pg_default_acl "
            "LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace, aclexplode(defaclacl) AS acl "
            "WHERE defaclobjtype = %s AND coalesce(nspname::text, '') = %s "
            "AND pg_get_userbyid(defaclrole) = %s AND acl.grantee = %s ORDER BY 1",
            OBJECT_CODES[kind],
            wanted["schema"] or "",
            wanted["owner"],
            grantee,
        )
    ]
    return list(wanted["privileges"]) if same_privileges(kind, granted, wanted["privileges"]) else granted
