"""`postgresql.GrantRole`."""

from __future__ import annotations

from psycopg import sql

from emulator.core.request import Request
from emulator.core.resource_type import Properties, State
from emulator.postgresql.connection import Session
from emulator.postgresql.state_diff import Argument, PostgresqlType, server_of


class GrantRoleType(PostgresqlType):
    """A membership. Its replacement creates before it deletes, and so ends revoked, as in reality."""

    token = "postgresql:index/grantRole:GrantRole"
    arguments = {  # noqa: RUF012
        "role": Argument(replaces=True),
        "grantRole": Argument(replaces=True),
        "withAdminOption": Argument(replaces=True, default=False),
    }

    def create(self, request: Request) -> tuple[str, Properties]:
        """Revokes and grants in one transaction."""
        if request.preview:
            return "", self.planned(request.inputs)
        wanted = self.given(request.inputs)
        option = sql.SQL(" WITH ADMIN OPTION" if wanted["withAdminOption"] else "")
        with server_of(request).session() as session:
            session.lock_role(wanted["role"])
            _revoke(session, wanted)
            session.run(
                sql.SQL("GRANT {} TO {}{}").format(
                    sql.Identifier(wanted["grantRole"]), sql.Identifier(wanted["role"]), option
                )
            )
        admin = "true" if wanted["withAdminOption"] else "false"
        return f"{wanted['role']}_{wanted['grantRole']}_{admin}", wanted

    def read(self, request: Request) -> State | None:
        """The membership, while there is one."""
        state = {**self.given(request.inputs), **request.outputs}
        with server_of(request).session() as session:
            admin = session.value(
                "SELECT admin_option FROM pg_auth_members "
                "WHERE pg_get_userbyid(member) = %s AND pg_get_userbyid(roleid) = %s",
                state["role"],
                state["grantRole"],
            )
        if admin is None:
            return None
        found = {**state, "withAdminOption": admin}
        return State(id=request.id, inputs=request.inputs or found, outputs=found)

    def delete(self, request: Request) -> None:
        """Revokes."""
        state = {**self.given(request.inputs), **request.outputs}
        with server_of(request).session() as session:
            session.lock_role(state["role"])
            _revoke(session, state)


def _revoke(session: Session, state: Properties) -> None:
    session.run(
        sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(state["grantRole"]), sql.Identifier(state["role"]))
    )
