"""`postgresql.Grant`."""

from __future__ import annotations

from collections.abc import Sequence
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
    "table": "TABLE",
    "sequence": "SEQUENCE",
    "function": "FUNCTION",
    "procedure": "PROCEDURE",
    "routine": "ROUTINE",
}


class GrantType(PostgresqlType):
    """Privileges of one role on a database, a schema, or all or some objects in a schema.

    Others' privileges stay; the role's own ones on these objects are revoked first. A server that grants
    nothing with a mere warning, as to someone who is not the owner, leaves a
    lasting difference, as in reality.
    """

    token = "postgresql:index/grant:Grant"
    delete_before_replace = True
    arguments = {  # noqa: RUF012
        "role": Argument(replaces=True),
        "database": Argument(replaces=True),
        "schema": Argument(replaces=True),
        "objectType": Argument(
            replaces=True,
            allowed=("database", "schema", "table", "sequence", "function", "procedure", "routine"),
        ),
        "objects": Argument(replaces=True, unordered=True, default=()),
        "privileges": Argument(unordered=True),
        "withGrantOption": Argument(replaces=True, default=False),
    }

    def create(self, request: Request) -> tuple[str, Properties]:
        """Revokes and grants in one transaction, then reads what the role really has."""
        if request.preview:
            return "", self.planned(request.inputs)
        wanted = self.given(request.inputs)
        outputs = self._apply(request, wanted)
        return _identifier(wanted), outputs

    def read(self, request: Request) -> State | None:
        """State with the privileges that are there; none when an object lacks one."""
        state = {**self.given(request.inputs), **request.outputs}
        server = server_of(request)
        with server.session() as session:
            if not (session.role_exists(state["role"]) and session.database_exists(state["database"])):
                return None
        with server.session(state["database"]) as session:
            if state.get("schema") and not session.schema_exists(state["schema"]):
                return None
            found = {**state, "privileges": _granted(session, state)}
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
            _lock(session, state)
            with with_roles(session, _owners(session, state)):
                _revoke(session, state)

    def _apply(self, request: Request, wanted: Properties) -> dict[str, Any]:
        _validate(wanted)
        server = server_of(request)
        with server.session(wanted["database"]) as session:
            _lock(session, wanted)
            with with_roles(session, _owners(session, wanted)):
                _revoke(session, wanted)
                if wanted["privileges"]:
                    session.run(
                        sql.SQL("GRANT {} ON {} TO {}{}").format(
                            privilege_list(wanted["privileges"]),
                            _target(wanted),
                            sql.Identifier(wanted["role"]),
                            sql.SQL(" WITH GRANT OPTION" if wanted["withGrantOption"] else ""),
                        )
                    )
        with server.session(wanted["database"]) as session:
            return {**wanted, "privileges": _granted(session, wanted)}


def _validate(wanted: Properties) -> None:
    kind = wanted["objectType"]
    if kind != "database" and not wanted["schema"]:
        raise Refused(
            f"parameter 'schema' is mandatory for postgresql_grant resource with object_type {kind!r}"
        )
    if wanted["objects"] and kind in ("database", "schema"):
        raise Refused("cannot specify `objects` when `object_type` is `database` or `schema`")
    if wanted["withGrantOption"] and wanted["role"].lower() == "public":
        raise Refused("with_grant_option cannot be true for role 'public'")
    validate_privileges(kind, wanted["privileges"])


def _identifier(wanted: Properties) -> str:
    parts = [wanted["role"], wanted["database"]]
    if wanted["objectType"] != "database":
        parts.append(wanted["schema"])
    return "_".join([*parts, wanted["objectType"], *sorted(wanted["objects"])])


def _lock(session: Session, wanted: Properties) -> None:
    session.lock_role(wanted["role"])
    if wanted["objectType"] == "database":
        session.lock_database(wanted["database"])


def _owners(session: Session, wanted: Properties) -> Sequence[str]:
    if wanted["objectType"] == "database":
        return []
    schema_owner = session.value(
        "SELECT CASE WHEN pg_get_userbyid(nspowner) = 'pg_database_owner' "
        "THEN (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()) "
        "ELSE pg_get_userbyid(nspowner) END::text FROM pg_namespace WHERE nspname = %s",
        wanted["schema"],
    )
    if schema_owner is None:
        raise Refused(f"could not find schema '{wanted['schema']}' while looking for owner")
    owners = [
        owner
        for (owner,) in session.rows(
            "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = %s ORDER BY 1",
            wanted["schema"],
        )
    ]
    return owners if schema_owner in owners else [*owners, schema_owner]


def _target(wanted: Properties) -> sql.Composed:
    kind, schema = wanted["objectType"], wanted["schema"]
    if kind == "database":
        return sql.SQL("DATABASE {}").format(sql.Identifier(wanted["database"]))
    if kind == "schema":
        return sql.SQL("SCHEMA {}").format(sql.Identifier(schema))
    keyword = sql.SQL(_KEYWORDS[kind])
    if not wanted["objects"]:
        return sql.SQL("ALL {}S IN SCHEMA {}").format(keyword, sql.Identifier(schema))
    names = [_object_name(schema, name) for name in sorted(wanted["objects"])]
    return sql.SQL("{} {}").format(keyword, sql.SQL(", ").join(names))


def _object_name(schema: str, name: str) -> sql.Composable:
    if "(" in name:
        raise Refused(f"objects: {name!r}: functions with argument types are not in this sandbox yet")
    return sql.Identifier(schema, name)


def _revoke(session: Session, wanted: Properties) -> None:
    role = sql.Identifier(wanted["role"])
    session.run(sql.SQL("REVOKE ALL PRIVILEGES ON {} FROM {}").format(_target(wanted), role))


def _granted(session: Session, wanted: Properties) -> list[str]:
    """What the role has; as wanted when it means the same, nothing when any object differs."""
    kind, role = wanted["objectType"], wanted["role"]
    grantee = session.value("SELECT oid FROM pg_roles WHERE rolname = %s", role) or 0
    if kind == "database":
        rows = session.rows(
            "SELECT datname, ARRAY(SELECT DISTINCT privilege_type "
            "FROM aclexplode(datacl) WHERE grantee = %s) "
            "FROM pg_database WHERE datname = %s",
            grantee,
            wanted["database"],
        )
    elif kind == "schema":
        rows = session.rows(
            "SELECT nspname, ARRAY(SELECT DISTINCT privilege_type "
            "FROM aclexplode(nspacl) WHERE grantee = %s) "
            "FROM pg_namespace WHERE nspname = %s",
            grantee,
            wanted["schema"],
        )
    elif kind in ("table", "sequence"):
        rows = session.rows(
            "SELECT relname, ARRAY(SELECT DISTINCT privilege_type "
            "FROM aclexplode(relacl) WHERE grantee = %s) "
            "FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE nspname = %s AND relkind = %s",
            grantee,
            wanted["schema"],
            OBJECT_CODES[kind],
        )
    else:
        rows = session.rows(
            "SELECT proname, ARRAY(SELECT DISTINCT privilege_type "
            "FROM aclexplode(proacl) WHERE grantee = %s) "
            "FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE nspname = %s",
            grantee,
            wanted["schema"],
        )
    if kind in ("database", "schema"):
        granted = rows[0][1] if rows else []
        return list(wanted["privileges"]) if same_privileges(kind, granted, wanted["privileges"]) else granted
    objects = set(wanted["objects"])
    relevant = [granted for name, granted in rows if not objects or name in objects]
    same = all(same_privileges(kind, granted, wanted["privileges"]) for granted in relevant)
    return list(wanted["privileges"]) if same else []
