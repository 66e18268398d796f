"""One SQL statement of many, and questions to the catalogues that tell whether it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postgres.identifiers import quote_literal

Executor = Literal["superuser", "master", "administrator"]
"""Who runs a step. RDS has no superuser to offer: what needs more than the administrator is the master's."""

MAINTENANCE_DATABASE = "postgres"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One SQL statement: where it runs, as whom, and what for.

    To run in its own transaction (CREATE DATABASE cannot run inside one) in a session that logged in
    as the executor: `createrole_self_grant` works for session users only. When `unless` is given and
    that query, run by the same executor in the same database, returns a row, the step is done already.
    When `database_may_be_missing`, a server without that database is done with the step.
    """

    database: str
    as_role: Executor
    sql: str
    purpose: str
    unless: str | None = None
    database_may_be_missing: bool = False


def row(catalogue: str, column: str, name: str) -> str:
    """A query with one row when `catalogue` has `name`."""
    return f"SELECT 1 FROM pg_catalog.{catalogue} WHERE {column} = {quote_literal(name)}"  # noqa: S608 - quoted


def role_exists(name: str) -> str:
    """A query with one row when there is a role `name`."""
    return row("pg_roles", "rolname", name)


def is_member(member: str, group: str, *, with_admin_option: bool = False) -> str:
    """A query with a row when `member` itself was made a member of `group`.

    pg_has_role would also count membership through other roles, which may go away.
    """
    joined = (
        "pg_catalog.pg_auth_members m "
        "JOIN pg_catalog.pg_roles a ON a.oid = m.member "
        "JOIN pg_catalog.pg_roles r ON r.oid = m.roleid"
    )
    names = f"a.rolname = {quote_literal(member)} AND r.rolname = {quote_literal(group)}"
    option = " AND m.admin_option" if with_admin_option else ""
    return f"SELECT 1 FROM {joined} WHERE {names}{option}"  # noqa: S608 - quoted
