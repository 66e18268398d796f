"""SQL statements as steps, and catalogue queries that tell whether a step is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postgres.identifiers import quote_literal

Executor = Literal["superuser", "master", "administrator"]
"""Who runs a step. RDS has no superuser: there the master user runs what the administrator cannot."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One SQL statement: where it runs, as whom, and what for.

    It runs outside a transaction block (CREATE DATABASE cannot run inside one) in a session that logged in
    as the executor: `createrole_self_grant` works for session users only. The step is already done when
    the query `unless`, run by the same executor in the same database, returns a row. With
    `database_may_be_missing` it is also done on a server without that database.
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
    """A query with a row when `member` is a direct member of `group`.

    pg_has_role would also count membership through other roles, which may be removed.
    """
    joined = (
        "pg_catalog.pg_auth_members m "
        "JOIN pg_catalog.pg_roles a ON a.oid = m.member "
        "JOIN pg_catalog.pg_roles r ON r.oid = m.roleid"
    )
    names = f"a.rolname = {quote_literal(member)} AND r.rolname = {quote_literal(group)}"
    option = " AND m.admin_option" if with_admin_option else ""
    return f"SELECT 1 FROM {joined} WHERE {names}{option}"  # noqa: S608 - quoted
