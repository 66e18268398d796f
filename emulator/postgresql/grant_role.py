"""`postgresql.GrantRole`."""

from __future__ import annotations

from psycopg import sql

from emulator.core.resource_type import Call, Properties, State
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

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        """Revokes and grants in one transaction."""
        if call.preview:
            return "", self.planned(inputs)
        wanted = self.given(inputs)
        option = sql.SQL(" WITH ADMIN OPTION" if wanted["withAdminOption"] else "")
        with server_of(call).session() as session:
            session.lock_role(wanted["role"])
            _revoke(session, wanted)
            session.run(
                sql.SQL("GRANT {} TO {}{}").format(
                    sql.Identifier(wanted["grantRole"]), sql.Identifier(wanted["role"]), option
                )
            )
        admin = "true" if wanted["withAdminOption"] else "false"
        return f"{wanted['role']}_{wanted['grantRole']}_{admin}", wanted

    def read(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> State | None:
        """The membership, while there is one."""
        state = {**self.given(inputs), **outputs}
        with server_of(call).session() as session:
            admin = session.value(
                "SELECT admin_option FROM pg_auth_members "
                "WHERE pg_get_userbyid(member) = %s AND pg_get_userbyid(roleid) = %s",
                state["role"],
                state["grantRole"],
            )
        if admin is None:
            return None
        found = {**state, "withAdminOption": admin}
        return State(id=resource_id, inputs=inputs or found, outputs=found)

    def delete(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Revokes."""
        del resource_id
        state = {**self.given(inputs), **outputs}
        with server_of(call).session() as session:
            session.lock_role(state["role"])
            _revoke(session, state)


def _revoke(session: Session, state: Properties) -> None:
    session.run(
        sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(state["grantRole"]), sql.Identifier(state["role"]))
    )
