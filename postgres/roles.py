"""The declaration as idempotent SQL, which removes only what an earlier declaration made.

It uses only what pulumi-postgresql's Role, Database, Schema, Grant, DefaultPrivileges, GrantRole and
Extension can also do as the same administrator, so that every executor ends with the same catalogues.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from postgres.administrator import RDS_IAM, administrator_steps
from postgres.declaration import (
    PRIVILEGES,
    TRUSTED_EXTENSIONS,
    Declaration,
    GrantTarget,
    Platform,
    declaration_problems,
)
from postgres.identifiers import MAINTENANCE_DATABASE, quote_identifier, quote_literal
from postgres.steps import Step, is_member, role_exists, row
from postgres.versions import require_supported

_Privilege = tuple[str, str, str | None, GrantTarget, str]
"""Database, role, schema, target, privilege."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    """Privileges of one role on one object or kind of objects."""

    database: str
    role: str
    schema: str | None
    target: GrantTarget
    privileges: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Objects:
    """Where the catalogues keep objects of one kind, and how GRANT names one."""

    keyword: str
    catalogue: str
    prefix: str
    condition: str
    name_type: str


# What GRANT … ON ALL TABLES, SEQUENCES and FUNCTIONS includes (aclchk.c, objectsInSchemaToOids).
_OBJECTS = {
    "tables": _Objects(
        keyword="TABLE",
        catalogue="pg_class",
        prefix="rel",
        condition="o.relkind IN ('r', 'v', 'm', 'f', 'p')",
        name_type="pg_catalog.regclass",
    ),
    "sequences": _Objects(
        keyword="SEQUENCE",
        catalogue="pg_class",
        prefix="rel",
        condition="o.relkind = 'S'",
        name_type="pg_catalog.regclass",
    ),
    "functions": _Objects(
        keyword="FUNCTION",
        catalogue="pg_proc",
        prefix="pro",
        condition="o.prokind <> 'p'",
        name_type="pg_catalog.regprocedure",
    ),
}


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
    return [
        *administrator_steps(desired.administrator, major, platform),
        *_removals(desired, previous),
        *_databases(desired),
        *_roles(desired, major, platform),
        *_grants(desired),
    ]


def _databases(desired: Declaration) -> Iterator[Step]:
    for database in sorted(desired.databases, key=lambda database: database.name):
        quoted = quote_identifier(database.name)
        yield _administered(
            f"CREATE DATABASE {quoted} TEMPLATE template0 ENCODING 'UTF8'",
            f"create database {database.name}",
            unless=row("pg_database", "datname", database.name),
        )
        yield _administered(
            f"REVOKE CONNECT, TEMPORARY ON DATABASE {quoted} FROM PUBLIC",
            f"close database {database.name} to roles without a grant",
        )
    for database in sorted(desired.databases, key=lambda database: database.name):
        yield _administered(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            f"close schema public of database {database.name}",
            database=database.name,
        )
        for schema in sorted(_schemas(desired, database.name) - {"public"}):
            yield _administered(
                f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(schema)}",
                f"create schema {schema} of database {database.name}",
                database=database.name,
            )
        for extension in sorted(database.extensions):
            yield Step(
                database=database.name,
                as_role="administrator" if extension in TRUSTED_EXTENSIONS else "superuser",
                sql=f"CREATE EXTENSION IF NOT EXISTS {quote_identifier(extension)}",
                purpose=f"create extension {extension} in database {database.name}",
            )


def _roles(desired: Declaration, major: int, platform: Platform) -> Iterator[Step]:
    administrator = quote_identifier(desired.administrator)
    for role in sorted(desired.roles, key=lambda role: role.name):
        quoted = quote_identifier(role.name)
        yield _administered(
            f"CREATE ROLE {quoted} NOLOGIN", f"create role {role.name}", unless=role_exists(role.name)
        )
        if platform == "rds":
            yield _administered(
                f"GRANT {RDS_IAM} TO {quoted}",
                f"role {role.name} logs in by IAM",
                unless=is_member(role.name, RDS_IAM),
            )
        yield _administered(
            f"ALTER ROLE {quoted} WITH LOGIN NOCREATEDB NOCREATEROLE INHERIT "
            f"CONNECTION LIMIT {role.connection_limit} PASSWORD NULL VALID UNTIL 'infinity'",
            f"attributes of role {role.name}",
        )
        if major < 16:
            # Later majors do this by createrole_self_grant. Without it the administrator could not
            # grant on what the role creates.
            yield _administered(
                f"GRANT {quoted} TO {administrator}",
                f"administrator acts for role {role.name}",
                unless=is_member(desired.administrator, role.name),
            )


def _grants(desired: Declaration) -> Iterator[Step]:
    for held in _grouped(_declared_privileges(desired)):
        yield from _privilege_steps(held, "GRANT", desired.administrator)


def _removals(desired: Declaration, previous: Declaration | None) -> Iterator[Step]:
    if previous is None:
        return
    kept = {role.name for role in desired.roles}
    for role in sorted(role.name for role in previous.roles if role.name not in kept):
        yield _administered(
            f"ALTER ROLE {quote_identifier(role)} NOLOGIN",
            f"role {role} is no longer declared: it loses its login and keeps what it owns",
            unless=_nothing_left(role),
        )
    databases = {database.name for database in desired.databases}
    for held in _grouped(_declared_privileges(previous) - _declared_privileges(desired)):
        if held.target == "database":
            unless = _nothing_left(held.role, database=held.database) + f" OR {_not_granted(held)}"
        elif held.target == "schema":
            unless = _nothing_left(held.role, schema=held.schema) + f" OR {_not_granted(held)}"
        else:
            unless = _nothing_left(held.role, schema=held.schema)
        for step in _privilege_steps(held, "REVOKE", desired.administrator):
            yield replace(step, unless=unless, database_may_be_missing=held.database not in databases)


def _privilege_steps(held: _Held, verb: Literal["GRANT", "REVOKE"], administrator: str) -> Iterator[Step]:
    listed = ", ".join(privilege.upper() for privilege in held.privileges)
    ending = f"{'TO' if verb == 'GRANT' else 'FROM'} {quote_identifier(held.role)}"
    what = f"{verb.lower()} {listed.lower()}"
    who = f"{'to' if verb == 'GRANT' else 'from'} {held.role}"
    if held.target == "database" or held.schema is None:
        yield _administered(
            f"{verb} {listed} ON DATABASE {quote_identifier(held.database)} {ending}",
            f"{what} on database {held.database} {who}",
        )
        return
    schema = quote_identifier(held.schema)
    where = f"schema {held.schema} of {held.database}"
    if held.target == "schema":
        sql = f"{verb} {listed} ON SCHEMA {schema} {ending}"
        yield _administered(sql, f"{what} on {where} {who}", database=held.database)
        return
    kind = held.target
    yield _administered(
        _on_each(kind, held.schema, f"{verb} {listed} ON {_OBJECTS[kind].keyword} ", f" {ending}"),
        f"{what} on {kind} in {where} {who}",
        database=held.database,
    )
    yield _administered(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote_identifier(administrator)} IN SCHEMA {schema} "
        f"{verb} {listed} ON {kind.upper()} {ending}",
        f"{what} on later {kind} of the administrator in {where} {who}",
        database=held.database,
    )


def _on_each(kind: str, schema: str, before: str, after: str) -> str:
    """A statement that runs `before`, an object, `after` for each of `kind` that the executor may grant on.

    GRANT … ON ALL would fail as a whole where one object belongs to a role that the administrator
    cannot act for, such as objects of extensions that only a superuser can create.
    """
    objects = _OBJECTS[kind]
    prefix = objects.prefix
    selected = (
        f"SELECT o.oid::{objects.name_type}::text FROM pg_catalog.{objects.catalogue} o "  # noqa: S608 - quoted
        f"JOIN pg_catalog.pg_namespace n ON n.oid = o.{prefix}namespace "
        f"WHERE n.nspname = {quote_literal(schema)} AND {objects.condition} "
        f"AND pg_catalog.pg_has_role(o.{prefix}owner, 'USAGE') ORDER BY 1"
    )
    body = f"""
DECLARE
  object text;
BEGIN
  FOR object IN
    {selected}
  LOOP
    EXECUTE {quote_literal(before)} || object || {quote_literal(after)};
  END LOOP;
END
"""
    return f"DO {quote_literal(body)}"


def _administered(
    sql: str,
    purpose: str,
    *,
    database: str = MAINTENANCE_DATABASE,
    unless: str | None = None,
    may_be_missing: bool = False,
) -> Step:
    return Step(
        database=database,
        as_role="administrator",
        sql=sql,
        purpose=purpose,
        unless=unless,
        database_may_be_missing=may_be_missing,
    )


def _nothing_left(role: str, *, schema: str | None = None, database: str | None = None) -> str:
    """A query with a row when the role, schema or database no longer exists, so nothing can be revoked."""
    present = [role_exists(role)]
    if schema is not None:
        present.append(row("pg_namespace", "nspname", schema))
    if database is not None:
        present.append(row("pg_database", "datname", database))
    return "SELECT 1 WHERE " + " OR ".join(f"NOT EXISTS ({query})" for query in present)


def _not_granted(held: _Held) -> str:
    """A condition that is true when the executor has granted none of these privileges.

    A grant that was refused, on somebody else's schema for example, cannot be revoked either, and must
    not block a declaration without it.
    """
    catalogue, prefix, name = (
        ("pg_database", "dat", held.database)
        if held.target == "database"
        else ("pg_namespace", "nsp", held.schema or "")
    )
    listed = ", ".join(quote_literal(privilege.upper()) for privilege in held.privileges)
    return (
        f"NOT EXISTS (SELECT 1 FROM pg_catalog.{catalogue} o "  # noqa: S608 - quoted
        f"CROSS JOIN LATERAL pg_catalog.aclexplode(o.{prefix}acl) a "
        "JOIN pg_catalog.pg_roles r ON r.oid = a.grantee "
        f"WHERE o.{prefix}name = {quote_literal(name)} AND r.rolname = {quote_literal(held.role)} "
        f"AND a.privilege_type IN ({listed}) AND pg_catalog.pg_has_role(a.grantor, 'USAGE'))"
    )


def _schemas(declaration: Declaration, database: str) -> set[str]:
    return {
        grant.schema
        for role in declaration.roles
        for grant in role.grants
        if grant.database == database and grant.schema is not None
    }


def _declared_privileges(declaration: Declaration) -> set[_Privilege]:
    privileges: set[_Privilege] = set()
    for role in declaration.roles:
        for database in role.databases:
            privileges.add((database, role.name, None, "database", "connect"))
        for grant in role.grants:
            for privilege in grant.privileges:
                privileges.add((grant.database, role.name, grant.schema, grant.on, privilege))
    return privileges


def _grouped(privileges: set[_Privilege]) -> list[_Held]:
    """Privileges grouped by role and object, in an order that depends on their content alone."""
    groups: dict[tuple[str, str, str, GrantTarget], list[str]] = {}
    for database, role, schema, target, privilege in privileges:
        groups.setdefault((database, role, schema or "", target), []).append(privilege)
    targets = list(PRIVILEGES)
    return [
        _Held(
            database=database,
            role=role,
            schema=schema or None,
            target=target,
            privileges=tuple(sorted(names, key=PRIVILEGES[target].index)),
        )
        for (database, role, schema, target), names in sorted(
            groups.items(), key=lambda item: (*item[0][:3], targets.index(item[0][3]))
        )
    ]
