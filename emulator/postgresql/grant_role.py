"""`postgresql.GrantRole`."""

from __future__ import annotations

from psycopg import sql

from emulator.core.resource_type import Properties
from emulator.postgresql.connection import Server
from emulator.postgresql.postgresql_type import Argument, PostgresqlType


class GrantRoleType(PostgresqlType):
    """A membership. Its replacement creates before it deletes, and so ends revoked, as in reality."""

    token = "postgresql:index/grantRole:GrantRole"
    arguments = {  # noqa: RUF012
        "role": Argument(replaces=True),
        "grantRole": Argument(replaces=True),
        "withAdminOption": Argument(replaces=True, default=False),
    }

    def make(self, server: Server, wanted: Properties) -> tuple[str, Properties]:
        """Revokes and grants in one transaction."""
        option = sql.SQL(" WITH ADMIN OPTION" if wanted["withAdminOption"] else "")
        with server.session() as session:
            session.lock_role(wanted["role"])
            session.execute("REVOKE {} FROM {}", wanted["grantRole"], wanted["role"])
            session.execute("GRANT {} TO {}{}", wanted["grantRole"], wanted["role"], option)
        admin = "true" if wanted["withAdminOption"] else "false"
        return f"{wanted['role']}_{wanted['grantRole']}_{admin}", wanted

    def outputs(self, server: Server, resource_id: str, state: Properties) -> Properties:
        return state

    def find(self, server: Server, resource_id: str, state: Properties) -> Properties | None:
        with server.session() as session:
            admin = session.value(
                "SELECT admin_option FROM pg_auth_members "
                "WHERE pg_get_userbyid(member) = %s AND pg_get_userbyid(roleid) = %s",
                state["role"],
                state["grantRole"],
            )
        return None if admin is None else {**state, "withAdminOption": admin}

    def drop(self, server: Server, resource_id: str, state: Properties) -> None:
        with server.session() as session:
            session.lock_role(state["role"])
            session.execute("REVOKE {} FROM {}", state["grantRole"], state["role"])
