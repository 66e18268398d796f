"""`postgresql.DefaultPrivileges`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, LiteralString

from psycopg import sql

from emulator.core.resource_type import Properties, Refused
from emulator.postgresql.connection import Server, Session
from emulator.postgresql.postgresql_type import Argument
from emulator.postgresql.privileges import PrivilegesType, privilege_list, same_privileges

_KEYWORDS: Final[dict[str, LiteralString]] = {
    "table": "TABLES",
    "sequence": "SEQUENCES",
    "function": "FUNCTIONS",
    "type": "TYPES",
    "schema": "SCHEMAS",
}
# In pg_default_acl.defaclobjtype.
_OBJECT_CODES: Final = {"table": "r", "sequence": "S", "function": "f", "type": "T", "schema": "n"}


class DefaultPrivilegesType(PrivilegesType):
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

    def identifier(self, wanted: Properties) -> str:
        parts = ("role", "database", "schema", "owner", "objectType")
        return "_".join(wanted[part] or "noschema" for part in parts)

    def validate(self, wanted: Properties) -> None:
        if wanted["schema"] and wanted["objectType"] == "schema":
            raise Refused("cannot specify `schema` when `object_type` is `schema`")

    def lock(self, session: Session, wanted: Properties) -> None:
        session.lock_role(wanted["owner"])

    def owners(self, session: Session, wanted: Properties) -> Sequence[str]:
        return [wanted["owner"]]

    def revoke(self, session: Session, wanted: Properties) -> None:
        keyword = sql.SQL(_KEYWORDS[wanted["objectType"]])
        session.execute("{} REVOKE ALL ON {} FROM {}", _scope(wanted), keyword, wanted["role"])

    def grant(self, session: Session, wanted: Properties, option: sql.Composable) -> None:
        session.execute(
            "{} GRANT {} ON {} TO {}{}",
            _scope(wanted),
            privilege_list(wanted["privileges"]),
            sql.SQL(_KEYWORDS[wanted["objectType"]]),
            wanted["role"],
            option,
        )

    def find(self, server: Server, resource_id: str, state: Properties) -> Properties | None:
        """Gone when there are none."""
        found = super().find(server, resource_id, state)
        return None if found is None or (state["privileges"] and not found["privileges"]) else found

    def granted(self, session: Session, wanted: Properties, grantee: int) -> list[str]:
        kind = wanted["objectType"]
        rows = session.rows(
            "SELECT DISTINCT acl.privilege_type FROM pg_default_acl "
            "LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace, aclexplode(defaclacl) AS acl "
            "WHERE defaclobjtype = %s AND coalesce(nspname::text, '') = %s "
            "AND pg_get_userbyid(defaclrole) = %s AND acl.grantee = %s ORDER BY 1",
            _OBJECT_CODES[kind],
            wanted["schema"] or "",
            wanted["owner"],
            grantee,
        )
        found = [privilege for (privilege,) in rows]
        return list(wanted["privileges"]) if same_privileges(kind, found, wanted["privileges"]) else found


def _scope(wanted: Properties) -> sql.Composable:
    schema = wanted["schema"]
    return sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{}").format(
        sql.Identifier(wanted["owner"]),
        sql.SQL(" IN SCHEMA {}").format(sql.Identifier(schema)) if schema else sql.SQL(""),
    )
