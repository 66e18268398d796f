"""Privileges of a role: what the types of object have, and what the two resources that grant share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final, LiteralString

from psycopg import sql

from emulator.core.resource_type import Properties, Refused
from emulator.postgresql.connection import Server, Session
from emulator.postgresql.membership import with_roles
from emulator.postgresql.postgresql_type import PostgresqlType

_ON_EVERY_TABLE: Final[tuple[LiteralString, ...]] = (
    "ALL", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER",
)  # fmt: skip
ALLOWED_PRIVILEGES: Final[dict[str, tuple[LiteralString, ...]]] = {
    "database": ("ALL", "CREATE", "CONNECT", "TEMPORARY"),
    "schema": ("ALL", "CREATE", "USAGE"),
    "table": (*_ON_EVERY_TABLE, "MAINTAIN"),
    "sequence": ("ALL", "USAGE", "SELECT", "UPDATE"),
    "function": ("ALL", "EXECUTE"),
    "procedure": ("ALL", "EXECUTE"),
    "routine": ("ALL", "EXECUTE"),
    "type": ("ALL", "USAGE"),
}


def validate_privileges(object_type: str, privileges: Iterable[str]) -> None:
    """Checks names, which must be upper case.

    Raises:
        Refused: A privilege does not exist for the type of object.
    """
    allowed = ALLOWED_PRIVILEGES[object_type]
    for privilege in privileges:
        if privilege not in allowed:
            raise Refused(
                f"{privilege} is not an allowed privilege for object type {object_type}; "
                f"allowed are {', '.join(allowed)}"
            )


def same_privileges(object_type: str, granted: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether what was granted is what is wanted, where ALL means every one; MAINTAIN exists from 17 on."""
    have, want = set(granted), set(wanted)
    if "ALL" not in want:
        return have == want
    every = set(ALLOWED_PRIVILEGES[object_type]) - {"ALL"}
    return have | {"MAINTAIN"} == every | {"MAINTAIN"}


def privilege_list(privileges: Sequence[str]) -> sql.Composed:
    """Validated privileges as SQL keywords."""
    keywords = {name: sql.SQL(name) for names in ALLOWED_PRIVILEGES.values() for name in names}
    return sql.SQL(", ").join([keywords[name] for name in sorted(privileges)])


class PrivilegesType(PostgresqlType):
    """Privileges of one role in one database.

    A change revokes the role's privileges and grants the wanted ones in one transaction, with a lock and as
    member of the owners. A server that grants nothing with a mere warning, as to someone who is not the
    owner, leaves a lasting difference, as in reality.
    """

    @abstractmethod
    def identifier(self, wanted: Properties) -> str:
        """The id."""

    @abstractmethod
    def validate(self, wanted: Properties) -> None:
        """Raises `Refused` for what the types of object exclude."""

    @abstractmethod
    def lock(self, session: Session, wanted: Properties) -> None:
        """Waits until no other resource works on the same privileges."""

    @abstractmethod
    def owners(self, session: Session, wanted: Properties) -> Sequence[str]:
        """The roles that may grant and revoke."""

    @abstractmethod
    def revoke(self, session: Session, wanted: Properties) -> None:
        """Revokes all that the role has."""

    @abstractmethod
    def grant(self, session: Session, wanted: Properties, option: sql.Composable) -> None:
        """Grants what is wanted, with the grant option or an empty text behind it."""

    @abstractmethod
    def granted(self, session: Session, wanted: Properties, grantee: int) -> list[str]:
        """What the role has, which the catalogue knows by the number `grantee`."""

    def make(self, server: Server, wanted: Properties) -> tuple[str, Properties]:
        self.validate(wanted)
        if wanted["withGrantOption"] and wanted["role"].lower() == "public":
            raise Refused("with_grant_option cannot be true for role 'public'")
        validate_privileges(wanted["objectType"], wanted["privileges"])
        with server.session(wanted["database"]) as session:
            self.lock(session, wanted)
            with with_roles(session, self.owners(session, wanted)):
                self.revoke(session, wanted)
                if wanted["privileges"]:
                    option = sql.SQL(" WITH GRANT OPTION" if wanted["withGrantOption"] else "")
                    self.grant(session, wanted, option)
        return self.identifier(wanted), wanted

    def alter(self, server: Server, old: Properties, wanted: Properties) -> tuple[str, Properties]:
        return self.make(server, wanted)

    def outputs(self, server: Server, resource_id: str, state: Properties) -> Properties:
        with server.session(state["database"]) as session:
            grantee = session.value("SELECT oid FROM pg_roles WHERE rolname = %s", state["role"]) or 0
            return {**state, "privileges": self.granted(session, state, grantee)}

    def find(self, server: Server, resource_id: str, state: Properties) -> Properties | None:
        with server.session() as session:
            if not (session.role_exists(state["role"]) and session.database_exists(state["database"])):
                return None
        return self.outputs(server, resource_id, state)

    def drop(self, server: Server, resource_id: str, state: Properties) -> None:
        with server.session(state["database"]) as session:
            self.lock(session, state)
            with with_roles(session, self.owners(session, state)):
                self.revoke(session, state)
