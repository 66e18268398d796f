"""`postgresql.Role`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, LiteralString

from psycopg import sql

from emulator.core.request import Request
from emulator.core.resource_type import Properties, Refused
from emulator.postgresql.connection import Server, Session
from emulator.postgresql.membership import with_roles
from emulator.postgresql.postgresql_type import Argument, PostgresqlType

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

    def make(self, server: Server, wanted: Properties) -> tuple[str, Properties]:
        name, password = wanted["name"], wanted["password"]
        options = _options({}, wanted, [*_FLAGS])
        if password:
            literal = sql.SQL("NULL") if password.upper() == "NULL" else sql.Literal(password)
            options.append(sql.SQL("PASSWORD {}").format(literal))
        with server.session() as session:
            session.execute("CREATE ROLE {} WITH {}", name, sql.SQL(" ").join(options))
            self._grant_and_configure(session, {}, wanted)
        return name, wanted

    def update(self, request: Request) -> Properties:
        if request.preview:
            return {**request.outputs, **self.planned(request.inputs)}
        return super().update(request)

    def alter(self, server: Server, old: Properties, wanted: Properties) -> tuple[str, Properties]:
        """A removed password stays in the database, as with the real provider."""
        name = wanted["name"]
        options = _options(
            old, wanted, [flag for flag in _FLAGS if bool(old.get(flag)) != bool(wanted[flag])]
        )
        if wanted["password"] and old.get("password") != wanted["password"]:
            options.append(sql.SQL("PASSWORD {}").format(wanted["password"]))
        with server.session() as session:
            session.lock_role(old["name"])
            if old["name"] != name:
                session.execute("ALTER ROLE {} RENAME TO {}", old["name"], name)
            if options:
                session.execute("ALTER ROLE {} WITH {}", name, sql.SQL(" ").join(options))
            # As the real provider: an update takes all memberships, whoever gave them, and gives its own.
            for (role,) in session.rows(
                "SELECT DISTINCT pg_get_userbyid(roleid)::text FROM pg_auth_members "
                "WHERE pg_get_userbyid(member) = %s ORDER BY 1",
                name,
            ):
                session.execute("REVOKE {} FROM {}", role, name)
            self._grant_and_configure(session, old, wanted)
        return name, wanted

    def drop(self, server: Server, resource_id: str, state: Properties) -> None:
        """Reassigns and drops what the role owns in the provider's database only, then drops the role."""
        with server.session() as session:
            if not session.role_exists(resource_id):
                return
            session.lock_role(resource_id)
            if not state["skipReassignOwned"]:
                with with_roles(session, [resource_id]):
                    session.execute("REASSIGN OWNED BY {} TO {}", resource_id, server.owner)
                    session.execute("DROP OWNED BY {}", resource_id)
            if not state["skipDropRole"]:
                session.execute("DROP ROLE {}", resource_id)

    def _grant_and_configure(self, session: Session, old: Properties, wanted: Properties) -> None:
        name = wanted["name"]
        for role in wanted["roles"]:
            session.execute("GRANT {} TO {}", role, name)
        paths = list(wanted["searchPaths"] or ())
        if paths != list(old.get("searchPaths") or ()):
            names = sql.SQL(", ").join(map(sql.Identifier, paths)) if paths else sql.SQL("DEFAULT")
            session.execute("ALTER ROLE {} SET search_path TO {}", name, names)
        for argument, setting in (*_TIMEOUTS.items(), ("assumeRole", "role")):
            value = wanted[argument]
            if (old.get(argument) or None) == (value or None):
                continue
            if value:
                session.execute("ALTER ROLE {} SET {} TO {}", name, setting, sql.Literal(value))
            else:
                session.execute("ALTER ROLE {} RESET {}", name, setting)

    def find(self, server: Server, resource_id: str, state: Properties) -> Properties | None:
        with server.session() as session:
            rows = session.rows(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolcanlogin, rolreplication, "
                "rolbypassrls, rolconnlimit, coalesce(rolvaliduntil::text, 'infinity'), "
                "coalesce(rolconfig, '{}'), ARRAY(SELECT DISTINCT pg_get_userbyid(roleid)::text FROM "
                "pg_auth_members WHERE member = pg_roles.oid ORDER BY 1) FROM pg_roles WHERE rolname = %s",
                resource_id,
            )
            if not rows:
                return None
            *flags, limit, valid_until, settings, roles = rows[0]
            configuration = dict(setting.split("=", 1) for setting in settings)
            found = {
                **state,
                **dict(zip(_FLAGS, flags, strict=True)),
                "name": resource_id,
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


def _options(old: Properties, wanted: Properties, flags: Sequence[str]) -> list[sql.Composable]:
    """These flags, and what else differs apart from the password."""
    options: list[sql.Composable] = [
        sql.SQL(_FLAGS[flag] if wanted[flag] else f"NO{_FLAGS[flag]}") for flag in flags
    ]
    if old.get("connectionLimit") != wanted["connectionLimit"]:
        options.append(sql.SQL("CONNECTION LIMIT {}").format(wanted["connectionLimit"]))
    if old.get("validUntil") != wanted["validUntil"]:
        options.append(sql.SQL("VALID UNTIL {}").format(wanted["validUntil"] or "infinity"))
    return options


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
