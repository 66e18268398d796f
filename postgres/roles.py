"""The declaration as idempotent SQL, which removes only what an earlier declaration made.

It uses only what pulumi-postgresql's Role, Database, Schema, Grant, DefaultPrivileges, GrantRole and
Extension can also do as the same administrator, so that every executor ends with the same catalogues.
"""

from __future__ import annotations

from collections.abc import Iterator

from postgres.administrator import (
    FIRST_MAJOR_WITH_SELF_GRANT,
    RDS_EXTENSION,
    RDS_IAM,
    administrator_steps,
    has_delegated,
)
from postgres.declaration import Declaration, Platform, Role, declaration_problems
from postgres.extensions import EXTENSIONS, with_required
from postgres.identifiers import MAINTENANCE_DATABASE, quote_identifier
from postgres.privileges import acts_for, declared_privileges, grants, revokes
from postgres.role_settings import SEARCH_PATH, assigned, schemas_of
from postgres.steps import Check, Executor, Step, is_member, role_exists, row
from postgres.versions import require_supported


def statements(
    desired: Declaration, previous: Declaration | None, major: int, platform: Platform = "server"
) -> list[Step]:
    """The steps that lead to `desired`, in the order in which they must run.

    `previous` is the declaration that was applied last, None when there was none. What it granted and
    `desired` does not is revoked; roles it made and `desired` does not have lose their login (they may
    own data). Databases, schemas and extensions stay. Grants and roles of others stay. On RDS every
    role gets `rds_iam`, and keeps it when it loses its login.

    Raises:
        ValueError: `desired` has problems (see declaration_problems), the administrator's name changed,
            or `major` is not supported.
    """
    require_supported(major)
    problems = declaration_problems(desired, major, platform)
    if previous is not None and previous.administrator != desired.administrator:
        problems.append(
            f"administrator {desired.administrator!r} was {previous.administrator!r}, "
            "which owns the databases; keep the name"
        )
    if problems:
        raise ValueError("; ".join(problems))
    privileges = declared_privileges(desired)
    removed: set[str] = set()
    gone: list[Step] = []
    if previous is not None:
        removed = {role.name for role in previous.roles} - {role.name for role in desired.roles}
        databases = [database.name for database in desired.databases]
        gone += revokes(declared_privileges(previous), privileges, desired.administrator, databases)
        gone += _former_memberships(previous, desired, platform)
        gone += _former_settings(previous, desired)
    return [
        *administrator_steps(desired.administrator, major, platform),
        *_delegation(desired, platform),
        *(_without_login(role, platform) for role in sorted(removed)),
        *gone,
        *_databases(desired, platform),
        *_roles(desired, major, platform),
        *grants(privileges, desired.administrator),
    ]


def _delegation(desired: Declaration, platform: Platform) -> Iterator[Step]:
    """What lets the administrator create extensions on RDS that a superuser creates elsewhere."""
    if platform == "rds" and has_delegated(desired):
        yield Step(
            database=MAINTENANCE_DATABASE,
            as_role="master",
            sql=f"GRANT {RDS_EXTENSION} TO {quote_identifier(desired.administrator)}",
            purpose=f"administrator {desired.administrator} creates extensions",
            check=is_member(desired.administrator, RDS_EXTENSION),
        )


def _databases(desired: Declaration, platform: Platform) -> Iterator[Step]:
    names = sorted(database.name for database in desired.databases)
    administrator = quote_identifier(desired.administrator)
    for name in names:
        yield _administered(
            f"CREATE DATABASE {quote_identifier(name)} TEMPLATE template0 ENCODING 'UTF8'",
            f"create database {name}",
            row("pg_database", "datname", name),
        )
    if platform == "server":
        owned = "pg_catalog.pg_get_userbyid(d.datdba) = v.owner"
        for name in names:
            yield Step(
                database=MAINTENANCE_DATABASE,
                as_role="superuser",
                sql=f"ALTER DATABASE {quote_identifier(name)} OWNER TO {administrator}",
                purpose=f"database {name} belongs to administrator {desired.administrator}",
                check=_database_check(name, owned, owner=desired.administrator),
            )
    for name in names:
        quoted = quote_identifier(name)
        yield _administered(
            f"ALTER DATABASE {quoted} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT -1 IS_TEMPLATE false",
            f"attributes of database {name}",
            _database_check(name, "d.datallowconn AND d.datconnlimit = -1 AND NOT d.datistemplate"),
        )
        held = "coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))"
        yield _administered(
            f"GRANT ALL ON DATABASE {quoted} TO {administrator}",
            f"administrator {desired.administrator} may use database {name}",
            _database_check(
                name,
                f"{held} OPERATOR(pg_catalog.@>) ALL ("  # noqa: S608 - constants
                "SELECT pg_catalog.makeaclitem(d.datdba, d.datdba, p, false) "
                "FROM pg_catalog.unnest(ARRAY['CREATE', 'TEMPORARY', 'CONNECT']) p)",
            ),
        )
        open_to_all = (
            f"SELECT FROM pg_catalog.aclexplode({held}) e WHERE e.grantee = 0 AND e.grantor = d.datdba"
        )
        yield _administered(
            f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC",
            f"close database {name} to roles without a grant",
            _database_check(name, f"NOT EXISTS ({open_to_all})"),
        )
    for database in sorted(desired.databases, key=lambda database: database.name):
        yield from _inside(desired, database.name, database.extensions, platform)


def _inside(
    desired: Declaration, database: str, extensions: tuple[str, ...], platform: Platform
) -> Iterator[Step]:
    creating = (
        "SELECT FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) e "
        "WHERE n.nspname = 'public' AND e.grantee = 0 AND e.privilege_type = 'CREATE' "
        f"AND {acts_for(desired.administrator, 'e.grantor')}"
    )
    yield _administered(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"close schema public of database {database}",
        Check(condition=f"NOT EXISTS ({creating})"),
        database,
    )
    for schema in sorted(_schemas(desired, database) - {"public"}):
        yield _administered(
            f"CREATE SCHEMA {quote_identifier(schema)}",
            f"create schema {schema} of database {database}",
            row("pg_namespace", "nspname", schema),
            database,
        )
    yield from (_extension(name, database, platform) for name in with_required(extensions))


def _extension(name: str, database: str, platform: Platform) -> Step:
    extension = EXTENSIONS[name]
    check = row("pg_extension", "extname", name)
    if extension.preload:
        # Until the server has restarted with its library, there is nothing to be done.
        loaded = "EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE s.name = v.shown_by)"
        check = Check(
            condition=f"{check.condition} OR NOT {loaded}",
            values=(*check.values, ("shown_by", extension.shown_by)),
        )
    return Step(
        database=database,
        as_role="administrator" if platform == "rds" or extension.trusted else "superuser",
        sql=f"CREATE EXTENSION {quote_identifier(name)}{'' if extension.fixed_schema else ' SCHEMA public'}",
        purpose=f"create extension {name} in database {database}",
        check=check,
        routine=bool(extension.preload),
    )


def _roles(desired: Declaration, major: int, platform: Platform) -> Iterator[Step]:
    roles = sorted(desired.roles, key=lambda role: role.name)
    for role in roles:
        yield _administered(
            f"CREATE ROLE {quote_identifier(role.name)} NOLOGIN",
            f"create role {role.name}",
            role_exists(role.name),
            access=True,
        )
    # As the superuser, who alone sees passwords and may change a role that was made superuser. Before
    # everything that such a role blocks.
    for role in roles:
        yield _attributes(role, platform)
    memberships = [
        step for role in roles for step in _memberships(role, desired.administrator, major, platform)
    ]
    yield from (_setting(role, name, value) for role in roles for name, value in sorted(role.settings))
    # One session for each executor.
    yield from sorted(memberships, key=lambda step: step.as_role == "administrator")


def _attributes(role: Role, platform: Platform) -> Step:
    ordinary = "r.rolcanlogin AND r.rolinherit AND NOT (r.rolcreatedb OR r.rolcreaterole)"
    limits = "r.rolconnlimit = v.connections AND r.rolvaliduntil = 'infinity'"
    executor: Executor
    if platform == "server":
        executor, catalogue, powers = "superuser", "pg_authid", "NOSUPERUSER NOREPLICATION NOBYPASSRLS "
        further = "NOT (r.rolsuper OR r.rolreplication OR r.rolbypassrls) AND r.rolpassword IS NULL"
    else:
        # Nobody can read whether a role has a password. As long as it is a member of rds_iam, RDS takes none.
        executor, catalogue, powers = "administrator", "pg_roles", ""
        further = is_member(role.name, RDS_IAM).condition
    return Step(
        database=MAINTENANCE_DATABASE,
        as_role=executor,
        sql=f"ALTER ROLE {quote_identifier(role.name)} WITH LOGIN {powers}NOCREATEDB NOCREATEROLE INHERIT "
        f"CONNECTION LIMIT {role.connection_limit} PASSWORD NULL VALID UNTIL 'infinity'",
        purpose=f"attributes of role {role.name}",
        check=Check(
            condition=f"EXISTS (SELECT FROM pg_catalog.{catalogue} r WHERE r.rolname = v.member "
            f"AND {ordinary} AND {limits} AND {further})",
            values=(("connections", role.connection_limit), *is_member(role.name, RDS_IAM).values),
        ),
        access=True,
    )


def _memberships(declared: Role, administrator: str, major: int, platform: Platform) -> Iterator[Step]:
    role = declared.name
    quoted, to = quote_identifier(role), quote_identifier(administrator)
    with_options = major >= FIRST_MAJOR_WITH_SELF_GRANT
    for group in sorted(declared.member_of):
        yield Step(
            database=MAINTENANCE_DATABASE,
            as_role=_giver(platform),
            sql=f"GRANT {group} TO {quoted}{' WITH INHERIT TRUE, SET TRUE' if with_options else ''}",
            purpose=f"role {role} is a member of {group}",
            check=is_member(role, group, "m.inherit_option AND m.set_option" if with_options else ""),
        )
    if platform == "rds":
        yield _administered(
            f"GRANT {RDS_IAM} TO {quoted}",
            f"role {role} logs in by IAM",
            is_member(role, RDS_IAM),
            access=True,
        )
    if major < FIRST_MAJOR_WITH_SELF_GRANT:
        # Later majors do this by createrole_self_grant. Without it the administrator could not grant on
        # what the role creates.
        yield _administered(
            f"GRANT {quoted} TO {to}",
            f"administrator acts for role {role}",
            is_member(administrator, role),
        )
        return
    if platform == "server":
        yield Step(
            database=MAINTENANCE_DATABASE,
            as_role="superuser",
            sql=f"GRANT {quoted} TO {to} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
            purpose=f"administrator administers role {role}",
            check=is_member(administrator, role, "m.admin_option"),
        )
    yield _administered(
        f"GRANT {quoted} TO {to} WITH INHERIT TRUE, SET TRUE",
        f"administrator acts for role {role}",
        is_member(administrator, role, "m.inherit_option AND m.set_option"),
    )


def _setting(role: Role, name: str, value: str) -> Step:
    return _administered(
        f"ALTER ROLE {quote_identifier(role.name)} SET {assigned(name, value)}",
        f"setting {name} of role {role.name}",
        _has_setting(role.name, name, value),
    )


def _has_setting(role: str, name: str, value: str) -> Check:
    entry = "v.entry"
    if name == SEARCH_PATH:
        entry = (
            f"'{SEARCH_PATH}=' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s.name), ', ' "  # noqa: S608 - constants
            "ORDER BY s.n) FROM pg_catalog.unnest(v.schemas) WITH ORDINALITY AS s(name, n))"
        )
    # A set that does not depend on the role is made once for all roles.
    stored = (
        "SELECT r.rolname::text, c.entry FROM pg_catalog.pg_roles r "
        "CROSS JOIN LATERAL pg_catalog.unnest(r.rolconfig) AS c(entry)"
    )
    own = ("schemas", tuple(schemas_of(value))) if name == SEARCH_PATH else ("entry", f"{name}={value}")
    return Check(condition=f"(v.role, {entry}) IN ({stored})", values=(("role", role), own))


def _former_settings(previous: Declaration, desired: Declaration) -> Iterator[Step]:
    kept = {(role.name, name) for role in desired.roles for name, _ in role.settings}
    for role in sorted(previous.roles, key=lambda role: role.name):
        for name, value in sorted(role.settings):
            if (role.name, name) not in kept:
                has = _has_setting(role.name, name, value)
                yield _administered(
                    f"ALTER ROLE {quote_identifier(role.name)} RESET {name}",
                    f"role {role.name} has no {name} of its own any more",
                    Check(condition=f"NOT ({has.condition})", values=has.values),
                )


def _former_memberships(previous: Declaration, desired: Declaration, platform: Platform) -> Iterator[Step]:
    kept = {(role.name, group) for role in desired.roles for group in role.member_of}
    for role in sorted(previous.roles, key=lambda role: role.name):
        for group in sorted(role.member_of):
            if (role.name, group) not in kept:
                member = is_member(role.name, group)
                yield Step(
                    database=MAINTENANCE_DATABASE,
                    as_role=_giver(platform),
                    sql=f"REVOKE {group} FROM {quote_identifier(role.name)}",
                    purpose=f"role {role.name} is no longer a member of {group}",
                    check=Check(condition=f"NOT {member.condition}", values=member.values),
                )


def _giver(platform: Platform) -> Executor:
    """Who may give memberships in predefined roles: since PostgreSQL 16 no administrator does."""
    return "superuser" if platform == "server" else "master"


def _without_login(role: str, platform: Platform) -> Step:
    return Step(
        database=MAINTENANCE_DATABASE,
        as_role="superuser" if platform == "server" else "administrator",
        sql=f"ALTER ROLE {quote_identifier(role)} NOLOGIN",
        purpose=f"role {role} is no longer declared: it loses its login and keeps what it owns",
        check=Check(
            condition="NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = v.role "
            "AND r.rolcanlogin)",
            values=(("role", role),),
        ),
        access=True,
    )


def _administered(
    sql: str, purpose: str, check: Check, database: str = MAINTENANCE_DATABASE, *, access: bool = False
) -> Step:
    return Step(
        database=database, as_role="administrator", sql=sql, purpose=purpose, check=check, access=access
    )


def _database_check(name: str, condition: str, **values: str) -> Check:
    return Check(
        condition=f"EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = v.name AND {condition})",
        values=(("name", name), *values.items()),
    )


def _schemas(declaration: Declaration, database: str) -> set[str]:
    return {
        grant.schema
        for role in declaration.roles
        for grant in role.grants
        if grant.database == database and grant.schema is not None
    }
