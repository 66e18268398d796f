"""`postgresql.Role`."""

from __future__ import annotations

from typing import Any, Final, LiteralString

from psycopg import sql

from emulator.core.request import Request
from emulator.core.resource_type import PartlyCreated, Properties, Refused, State
from emulator.postgresql.connection import Session
from emulator.postgresql.membership import with_roles
from emulator.postgresql.state_diff import Argument, PostgresqlType, server_of

_FLAGS: Final[dict[str, LiteralString]] = {
    "superuser": "SUPERUSER",
    "createDatabase": "CREATEDB",
    "createRole": "CREATEROLE",
    "inherit": "INHERIT",
    "login": "LOGIN",
    "replication": "REPLICATION",
    "bypassRowLevelSecurity": "BYPASSRLS",
}
_TIMEOUTS = {
    "statementTimeout": "statement_timeout",
    "idleInTransactionSessionTimeout": "idle_in_transaction_session_timeout",
}


class RoleType(PostgresqlType):
    """A role and its memberships. One without `roles` that gets some elsewhere loses them after a refresh."""

    token = "postgresql:index/role:Role"
    autonamed = True
    secret_outputs = frozenset({"password"})
    arguments = {  # noqa: RUF012
        "name": Argument(),
        "password": Argument(),
        "encryptedPassword": Argument(default=True),
        "roles": Argument(default=(), unordered=True),
        "searchPaths": Argument(default=()),
        "validUntil": Argument(default="infinity"),
        "connectionLimit": Argument(default=-1, minimum=-1),
        "superuser": Argument(default=False),
        "createDatabase": Argument(default=False),
        "createRole": Argument(default=False),
        "inherit": Argument(default=True),
        "login": Argument(default=False),
        "replication": Argument(default=False),
        "bypassRowLevelSecurity": Argument(default=False),
        "skipDropRole": Argument(default=False),
        "skipReassignOwned": Argument(default=False),
        "statementTimeout": Argument(default=0, minimum=0),
        "idleInTransactionSessionTimeout": Argument(default=0, minimum=0),
        "assumeRole": Argument(default=""),
    }

    def create(self, request: Request) -> tuple[str, Properties]:
        """Creates the role and then reads it back.

        Raises:
            PartlyCreated: The password cannot be read back, since the login is no superuser.
        """
        if request.preview:
            return "", self.planned(request.inputs)
        wanted = self.given(request.inputs)
        name = wanted["name"]
        with server_of(request).session() as session:
            options: list[sql.SQL | sql.Composed] = [
                sql.SQL(word if wanted[flag] else f"NO{word}") for flag, word in _FLAGS.items()
            ]
            options.append(sql.SQL("CONNECTION LIMIT {}").format(wanted["connectionLimit"]))
            options.append(sql.SQL("VALID UNTIL {}").format(wanted["validUntil"] or "infinity"))
            password = wanted["password"]
            if password:
                literal = sql.SQL("NULL") if password.upper() == "NULL" else sql.Literal(password)
                options.append(sql.SQL("PASSWORD {}").format(literal))
            session.run(
                sql.SQL("CREATE ROLE {} WITH {}").format(sql.Identifier(name), sql.SQL(" ").join(options))
            )
            for role in wanted["roles"]:
                session.run(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(name)))
            self._set_configuration(session, name, {}, wanted)
        try:
            return name, self._found(request, name, wanted) or wanted
        except Refused as error:
            raise PartlyCreated(str(error), name, wanted) from error

    def read(self, request: Request) -> State | None:
        """The role as the catalogue has it."""
        found = self._found(request, request.id, {**self.given(request.inputs), **request.outputs})
        if found is None:
            return None
        return State(id=request.id, inputs=request.inputs or found, outputs=found)

    def update(self, request: Request) -> Properties:
        """Alters what differs. A removed password stays in the database, as with the real provider."""
        if request.preview:
            return {**request.outputs, **self.planned(request.inputs)}
        wanted = self.given(request.inputs)
        with server_of(request).session() as session:
            session.lock_role(request.outputs["name"])
            if request.outputs["name"] != wanted["name"]:
                session.run(
                    sql.SQL("ALTER ROLE {} RENAME TO {}").format(
                        sql.Identifier(request.outputs["name"]), sql.Identifier(wanted["name"])
                    )
                )
            self._alter(session, request.outputs, wanted)
        return self._found(request, wanted["name"], wanted) or wanted

    def delete(self, request: Request) -> None:
        """Reassigns and drops what the role owns in the provider's database only, then drops the role."""
        wanted = {**self.given(request.inputs), **request.outputs}
        server = server_of(request)
        role = sql.Identifier(request.id)
        with server.session() as session:
            if not session.role_exists(request.id):
                return
            session.lock_role(request.id)
            if not wanted["skipReassignOwned"]:
                with with_roles(session, [request.id]):
                    session.run(
                        sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, sql.Identifier(server.owner))
                    )
                    session.run(sql.SQL("DROP OWNED BY {}").format(role))
            if not wanted["skipDropRole"]:
                session.run(sql.SQL("DROP ROLE {}").format(role))

    def _alter(self, session: Session, old: Properties, wanted: Properties) -> None:
        name = sql.Identifier(wanted["name"])
        options: list[sql.SQL | sql.Composed] = [
            sql.SQL(word if wanted[flag] else f"NO{word}")
            for flag, word in _FLAGS.items()
            if bool(old.get(flag)) != bool(wanted[flag])
        ]
        if old.get("connectionLimit") != wanted["connectionLimit"]:
            options.append(sql.SQL("CONNECTION LIMIT {}").format(wanted["connectionLimit"]))
        if old.get("validUntil") != wanted["validUntil"]:
            options.append(sql.SQL("VALID UNTIL {}").format(wanted["validUntil"] or "infinity"))
        if wanted["password"] and old.get("password") != wanted["password"]:
            options.append(sql.SQL("PASSWORD {}").format(wanted["password"]))
        if options:
            session.run(sql.SQL("ALTER ROLE {} WITH {}").format(name, sql.SQL(" ").join(options)))
        # As the real provider: an update takes all memberships, whoever gave them, and gives its own back.
        for (role,) in session.rows(
            "SELECT DISTINCT pg_get_userbyid(roleid)::text FROM pg_auth_members "
            "WHERE pg_get_userbyid(member) = %s ORDER BY 1",
            wanted["name"],
        ):
            session.run(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(role), name))
        for role in wanted["roles"]:
            session.run(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
        self._set_configuration(session, wanted["name"], old, wanted)

    def _set_configuration(self, session: Session, name: str, old: Properties, wanted: Properties) -> None:
        role = sql.Identifier(name)
        paths = list(wanted["searchPaths"] or ())
        if paths != list(old.get("searchPaths") or ()):
            value = (
                sql.SQL(", ").join([sql.Identifier(path) for path in paths]) if paths else sql.SQL("DEFAULT")
            )
            session.run(sql.SQL("ALTER ROLE {} SET search_path TO {}").format(role, value))
        for argument, setting in (*_TIMEOUTS.items(), ("assumeRole", "role")):
            if (old.get(argument) or None) == (wanted[argument] or None):
                continue
            parameter = sql.Identifier(setting)
            if wanted[argument]:
                session.run(
                    sql.SQL("ALTER ROLE {} SET {} TO {}").format(
                        role, parameter, sql.Literal(wanted[argument])
                    )
                )
            else:
                session.run(sql.SQL("ALTER ROLE {} RESET {}").format(role, parameter))

    def _found(self, request: Request, name: str, state: Properties) -> dict[str, Any] | None:
        server = server_of(request)
        with server.session() as session:
            rows = session.rows(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolcanlogin, rolreplication, "
                "rolbypassrls, rolconnlimit, coalesce(rolvaliduntil::text, 'infinity'), "
                "coalesce(rolconfig, '{}'), ARRAY(SELECT DISTINCT pg_get_userbyid(roleid)::text "
                "FROM pg_auth_members WHERE member = pg_roles.oid ORDER BY 1) "
                "FROM pg_roles WHERE rolname = %s",
                name,
            )
            if not rows:
                return None
            *flags, limit, valid_until, settings, roles = rows[0]
            configuration = dict(setting.split("=", 1) for setting in settings)
            found = {
                **state,
                **dict(zip(_FLAGS, flags, strict=True)),
                "name": name,
                "connectionLimit": limit,
                "validUntil": valid_until,
                "roles": roles,
                "searchPaths": _search_paths(configuration.get("search_path")),
                "assumeRole": configuration.get("role", ""),
                **{
                    argument: _milliseconds(setting, configuration.get(setting, "0"))
                    for argument, setting in _TIMEOUTS.items()
                },
            }
            reads_password = found["login"] and server.arguments.superuser and state.get("password")
            if reads_password and not session.is_superuser(session.current_user):
                raise Refused(
                    f"could not read role password from Postgres as connected user {session.current_user} is "
                    "not a SUPERUSER. You can set `superuser = false` in the provider configuration so it "
                    "will not try to read the password from Postgres"
                )
            return found


def _search_paths(text: str | None) -> list[str]:
    return [part.strip().strip('"') for part in text.split(",")] if text else []


def _milliseconds(setting: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise Refused(
            f'error reading {setting}: strconv.Atoi: parsing "{text}": invalid syntax; set it as a number of '
            "milliseconds"
        ) from error
