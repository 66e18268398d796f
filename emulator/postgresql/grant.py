"""`postgresql.Grant`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, LiteralString

from psycopg import sql

from emulator.core.resource_type import Properties, Refused
from emulator.postgresql.connection import Server, Session
from emulator.postgresql.postgresql_type import Argument
from emulator.postgresql.privileges import PrivilegesType, privilege_list, same_privileges

_RELATIONS: Final = "pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %s"
_ROUTINES: Final = "pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE nspname = %s"
# Per type of object: the columns of its name and its privileges, and where they are.
_CATALOGUES: Final[dict[str, tuple[LiteralString, LiteralString, LiteralString]]] = {
    "database": ("datname", "datacl", "pg_database WHERE datname = %s"),
    "schema": ("nspname", "nspacl", "pg_namespace WHERE nspname = %s"),
    "table": ("relname", "relacl", f"{_RELATIONS} AND relkind = 'r'"),
    "sequence": ("relname", "relacl", f"{_RELATIONS} AND relkind = 'S'"),
    "function": ("proname", "proacl", _ROUTINES),
    "procedure": ("proname", "proacl", _ROUTINES),
    "routine": ("proname", "proacl", _ROUTINES),
}


class GrantType(PrivilegesType):
    """Privileges of one role on a database, a schema, or all or some objects in a schema.

    Others' privileges stay; the role's own ones on these objects are revoked first.
    """

    token = "postgresql:index/grant:Grant"
    delete_before_replace = True
    arguments = {  # noqa: RUF012
        "role": Argument(replaces=True),
        "database": Argument(replaces=True),
        "schema": Argument(replaces=True),
        "objectType": Argument(replaces=True, allowed=tuple(_CATALOGUES)),
        "objects": Argument(replaces=True, unordered=True, default=()),
        "privileges": Argument(unordered=True),
        "withGrantOption": Argument(replaces=True, default=False),
    }

    def identifier(self, wanted: Properties) -> str:
        schema = [] if wanted["objectType"] == "database" else [wanted["schema"]]
        parts = [wanted["role"], wanted["database"], *schema, wanted["objectType"]]
        return "_".join([*parts, *sorted(wanted["objects"])])

    def validate(self, wanted: Properties) -> None:
        kind = wanted["objectType"]
        if kind != "database" and not wanted["schema"]:
            raise Refused(
                f"parameter 'schema' is mandatory for postgresql_grant resource with object_type {kind!r}"
            )
        if wanted["objects"] and kind in ("database", "schema"):
            raise Refused("cannot specify `objects` when `object_type` is `database` or `schema`")

    def lock(self, session: Session, wanted: Properties) -> None:
        session.lock_role(wanted["role"])
        if wanted["objectType"] == "database":
            session.lock_database(wanted["database"])

    def owners(self, session: Session, wanted: Properties) -> Sequence[str]:
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
        rows = session.rows(
            "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = %s ORDER BY 1",
            wanted["schema"],
        )
        owners = [owner for (owner,) in rows]
        return owners if schema_owner in owners else [*owners, schema_owner]

    def revoke(self, session: Session, wanted: Properties) -> None:
        session.execute("REVOKE ALL PRIVILEGES ON {} FROM {}", _target(wanted), wanted["role"])

    def grant(self, session: Session, wanted: Properties, option: sql.Composable) -> None:
        privileges = privilege_list(wanted["privileges"])
        session.execute("GRANT {} ON {} TO {}{}", privileges, _target(wanted), wanted["role"], option)

    def find(self, server: Server, resource_id: str, state: Properties) -> Properties | None:
        found = super().find(server, resource_id, state)
        if found is not None and state.get("schema"):
            with server.session(state["database"]) as session:
                if not session.schema_exists(state["schema"]):
                    return None
        return found

    def granted(self, session: Session, wanted: Properties, grantee: int) -> list[str]:
        """What the role has; as wanted when it means the same, nothing when any object differs."""
        kind = wanted["objectType"]
        name, privileges, source = _CATALOGUES[kind]
        place = wanted["database" if kind == "database" else "schema"]
        query = sql.SQL(
            "SELECT {}, ARRAY(SELECT DISTINCT privilege_type FROM aclexplode({}) WHERE grantee = %s) FROM {}"
        ).format(sql.Identifier(name), sql.Identifier(privileges), sql.SQL(source))
        rows = session.rows(query, grantee, place)
        if kind in ("database", "schema"):
            found = rows[0][1] if rows else []
            return list(wanted["privileges"]) if same_privileges(kind, found, wanted["privileges"]) else found
        objects = set(wanted["objects"])
        relevant = [found for name, found in rows if not objects or name in objects]
        same = all(same_privileges(kind, found, wanted["privileges"]) for found in relevant)
        return list(wanted["privileges"]) if same else []


def _target(wanted: Properties) -> sql.Composed:
    kind, schema = wanted["objectType"], wanted["schema"]
    if kind == "database":
        return sql.SQL("DATABASE {}").format(sql.Identifier(wanted["database"]))
    if kind == "schema":
        return sql.SQL("SCHEMA {}").format(sql.Identifier(schema))
    # `check` has let none but the words of the catalogue pass.
    keyword = sql.SQL(kind.upper())
    if not wanted["objects"]:
        return sql.SQL("ALL {}S IN SCHEMA {}").format(keyword, sql.Identifier(schema))
    for name in wanted["objects"]:
        if "(" in name:
            raise Refused(f"objects: {name!r}: functions with argument types are not in this sandbox yet")
    names = [sql.Identifier(schema, name) for name in sorted(wanted["objects"])]
    return sql.SQL("{} {}").format(keyword, sql.SQL(", ").join(names))
