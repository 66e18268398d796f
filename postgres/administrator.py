"""The administrator, which owns the databases and grants privileges but is not a superuser."""

from __future__ import annotations

from collections.abc import Iterator

from postgres.declaration import Declaration, Platform, extensions_of
from postgres.extensions import delegated
from postgres.identifiers import MAINTENANCE_DATABASE, quote_identifier, quote_literal
from postgres.steps import Check, Executor, Step, is_member, role_exists

RDS_IAM = "rds_iam"
"""The role of RDS whose members log in by IAM tokens only."""

RDS_EXTENSION = "rds_extension"
"""The role of RDS whose members create the extensions that `rds.allowed_delegated_extensions` lists.

RDS user guide, "Using Amazon RDS delegated extension support for PostgreSQL": 15.8, 16.4 and all later.
"""

FIRST_MAJOR_WITH_SELF_GRANT = 16
"""Since this major a role that creates another is its member only with the options that it was given."""

_SELF_GRANT = "set, inherit"
_SELF_GRANT_SETTING = f"createrole_self_grant={_SELF_GRANT}"


def administrator_steps(name: str, major: int, platform: Platform) -> Iterator[Step]:
    """The steps that create the administrator `name`, or correct its attributes.

    On RDS the master user runs them. It is not a superuser, and may not even name attributes that only
    superusers can change.
    """
    quoted = quote_identifier(name)
    executor: Executor = "superuser" if platform == "server" else "master"

    def step(sql: str, purpose: str, check: Check | None = None, *, access: bool = False) -> Step:
        return Step(
            database=MAINTENANCE_DATABASE,
            as_role=executor,
            sql=sql,
            purpose=purpose,
            check=check,
            access=access,
        )

    yield step(f"CREATE ROLE {quoted} NOLOGIN", f"create administrator {name}", role_exists(name))
    if platform == "server":
        attributes = "NOSUPERUSER CREATEDB CREATEROLE INHERIT NOREPLICATION NOBYPASSRLS"
    else:
        attributes = "CREATEDB CREATEROLE INHERIT"
    yield step(
        f"ALTER ROLE {quoted} WITH LOGIN {attributes} CONNECTION LIMIT -1 "
        "PASSWORD NULL VALID UNTIL 'infinity'",
        f"attributes of administrator {name}",
        _has_attributes(name) if platform == "server" else None,
        access=True,
    )
    if major >= FIRST_MAJOR_WITH_SELF_GRANT:
        yield step(
            f"ALTER ROLE {quoted} SET createrole_self_grant = {quote_literal(_SELF_GRANT)}",
            f"administrator {name} acts for the roles it creates",
            Check(
                condition="EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = v.role "
                f"AND {quote_literal(_SELF_GRANT_SETTING)} = ANY (r.rolconfig))",
                values=(("role", name),),
            ),
        )
    if platform == "rds":
        yield step(
            f"GRANT {RDS_IAM} TO {quoted} WITH ADMIN OPTION",
            f"administrator {name} logs in by IAM and lets its roles do so",
            is_member(name, RDS_IAM, "m.admin_option"),
        )
    else:
        yield step(
            f"GRANT CONNECT ON DATABASE {MAINTENANCE_DATABASE} TO {quoted}",
            f"administrator {name} connects to database {MAINTENANCE_DATABASE}",
            Check(
                condition="EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = v.role AND "
                f"pg_catalog.has_database_privilege(r.oid, '{MAINTENANCE_DATABASE}', 'CONNECT'))",
                values=(("role", name),),
            ),
        )


def has_delegated(declaration: Declaration) -> bool:
    """Whether extensions are declared that on RDS only a member of rds_extension creates."""
    return any(map(delegated, extensions_of(declaration).values()))


def _has_attributes(name: str) -> Check:
    return Check(
        condition="EXISTS (SELECT FROM pg_catalog.pg_authid r WHERE r.rolname = v.role AND r.rolcanlogin "
        "AND r.rolcreatedb AND r.rolcreaterole AND r.rolinherit "
        "AND NOT (r.rolsuper OR r.rolreplication OR r.rolbypassrls) "
        "AND r.rolconnlimit = -1 AND r.rolpassword IS NULL AND r.rolvaliduntil = 'infinity')",
        values=(("role", name),),
    )


def administrator_deviations(name: str, major: int) -> str:
    """A query with one row of text for each wrong attribute of the administrator on RDS."""
    iam = is_member(name, RDS_IAM, "m.admin_option").query
    wrong = {
        "is a superuser": "rolsuper",
        "may not create databases": "NOT rolcreatedb",
        "may not create roles": "NOT rolcreaterole",
        "does not inherit": "NOT rolinherit",
        "may replicate": "rolreplication",
        "bypasses row-level security": "rolbypassrls",
        "has a connection limit": "rolconnlimit <> -1",
        "expires": "rolvaliduntil <> 'infinity'",
        f"may not grant {RDS_IAM}": f"NOT EXISTS ({iam})",
    }
    if major >= FIRST_MAJOR_WITH_SELF_GRANT:
        setting = quote_literal(_SELF_GRANT_SETTING)
        wrong["does not act for the roles it creates"] = f"NOT coalesce({setting} = ANY (rolconfig), false)"
    listed = ", ".join(f"({quote_literal(text)}, {condition})" for text, condition in wrong.items())
    return (
        f"SELECT wrong.what FROM pg_catalog.pg_roles, LATERAL (VALUES {listed}) AS wrong (what, applies) "  # noqa: S608 - quoted
        f"WHERE rolname = {quote_literal(name)} AND wrong.applies"
    )
