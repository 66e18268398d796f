"""The administrator, which owns the databases and grants privileges but is not a superuser."""

from __future__ import annotations

from collections.abc import Iterator

from postgres.declaration import Platform
from postgres.identifiers import MAINTENANCE_DATABASE, quote_identifier, quote_literal
from postgres.steps import Executor, Step, is_member, role_exists

RDS_IAM = "rds_iam"
"""The role of RDS whose members log in by IAM tokens only."""

_SELF_GRANT = "set, inherit"
_FIRST_MAJOR_WITH_SELF_GRANT = 16


def administrator_steps(name: str, major: int, platform: Platform) -> Iterator[Step]:
    """The steps that create the administrator `name`, or correct its attributes.

    On RDS the master user runs them. It is not a superuser, and may not even name attributes that only
    superusers can change.
    """
    quoted = quote_identifier(name)
    executor: Executor = "superuser" if platform == "server" else "master"

    def step(sql: str, purpose: str, unless: str | None = None) -> Step:
        return Step(database=MAINTENANCE_DATABASE, as_role=executor, sql=sql, purpose=purpose, unless=unless)

    yield step(f"CREATE ROLE {quoted} NOLOGIN", f"create administrator {name}", role_exists(name))
    if platform == "server":
        attributes = "NOSUPERUSER CREATEDB CREATEROLE INHERIT NOREPLICATION NOBYPASSRLS"
    else:
        attributes = "CREATEDB CREATEROLE INHERIT VALID UNTIL 'infinity'"
    yield step(
        f"ALTER ROLE {quoted} WITH LOGIN {attributes} CONNECTION LIMIT -1 PASSWORD NULL",
        f"attributes of administrator {name}",
    )
    if major >= _FIRST_MAJOR_WITH_SELF_GRANT:
        yield step(
            f"ALTER ROLE {quoted} SET createrole_self_grant = {quote_literal(_SELF_GRANT)}",
            f"administrator {name} acts for the roles it creates",
        )
    if platform == "rds":
        yield step(
            f"GRANT {RDS_IAM} TO {quoted} WITH ADMIN OPTION",
            f"administrator {name} logs in by IAM and lets its roles do so",
            is_member(name, RDS_IAM, with_admin_option=True),
        )


def administrator_deviations(name: str, major: int) -> str:
    """A query with one row of text for each wrong attribute of the administrator on RDS."""
    wrong = {
        "is a superuser": "rolsuper",
        "may not create databases": "NOT rolcreatedb",
        "may not create roles": "NOT rolcreaterole",
        "does not inherit": "NOT rolinherit",
        "may replicate": "rolreplication",
        "bypasses row-level security": "rolbypassrls",
        "has a connection limit": "rolconnlimit <> -1",
        "expires": "rolvaliduntil <> 'infinity'",
        f"may not grant {RDS_IAM}": f"NOT EXISTS ({is_member(name, RDS_IAM, with_admin_option=True)})",
    }
    if major >= _FIRST_MAJOR_WITH_SELF_GRANT:
        setting = quote_literal(f"createrole_self_grant={_SELF_GRANT}")
        wrong["does not act for the roles it creates"] = f"NOT coalesce({setting} = ANY (rolconfig), false)"
    listed = ", ".join(f"({quote_literal(text)}, {condition})" for text, condition in wrong.items())
    return (
        f"SELECT wrong.what FROM pg_catalog.pg_roles, LATERAL (VALUES {listed}) AS wrong (what, applies) "  # noqa: S608 - quoted
        f"WHERE rolname = {quote_literal(name)} AND wrong.applies"
    )
