"""SQL statements as steps, and conditions of the catalogues that tell whether a step is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from postgres.identifiers import quote_identifier, quote_literal

Executor = Literal["superuser", "master", "administrator"]
"""Who runs a step. RDS has no superuser: there the master user runs what the administrator cannot."""

Value = str | int | tuple[str, ...]
_COLUMN_TYPES: Mapping[type, str] = {str: "text", int: "integer", tuple: "text[]"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """When a step is done.

    It causes no error, whatever roles, schemas or databases are missing, and means the same whoever runs it.

    Attributes:
        condition: An SQL expression. It reads the values as columns of `v`, so that one query can check
            many steps with the same condition.
        values: Names and values of the columns of `v`.
    """

    condition: str
    values: tuple[tuple[str, Value], ...] = ()

    @property
    def query(self) -> str:
        """A query with a row when the step is done."""
        return f"SELECT 1 FROM {self.record} WHERE {self.condition}"  # noqa: S608 - quoted

    @property
    def record(self) -> str:
        """The values as the only row of `v`, for a FROM clause."""
        return self.records([dict(self.values)])

    def records(self, values: Sequence[Mapping[str, Value]]) -> str:
        """Rows of `v`, for a FROM clause; each may number itself as `n`."""
        listed = [f"{quote_identifier(name)} {_COLUMN_TYPES[type(value)]}" for name, value in self.values]
        return f"{record_set(values)} AS v({', '.join(['n integer', *listed])})"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One SQL statement: where it runs, as whom, and what for.

    It runs outside a transaction block (CREATE DATABASE cannot run inside one) in a session that logged in
    as the executor: `createrole_self_grant` works for session users only.

    Attributes:
        database: Database in which it runs.
        as_role: Who runs it.
        sql: The statement. It finds nothing by `search_path`.
        purpose: What it does, for messages.
        check: When it is done already; None if it always has to run.
        database_may_be_missing: Whether it is also done on a server without that database.
        access: Whether it decides who may log in or do everything, so that nothing may put it off.
        routine: Whether it becomes necessary without anybody's change by hand, because an application makes
            objects.
    """

    database: str
    as_role: Executor
    sql: str
    purpose: str
    check: Check | None = None
    database_may_be_missing: bool = False
    routine: bool = False
    access: bool = False


def record_set(records: Sequence[Mapping[str, Value]]) -> str:
    """The records as rows, for a FROM clause: the columns' definitions must follow."""
    document = json.dumps(records, ensure_ascii=False, separators=(",", ":"))
    return f"pg_catalog.jsonb_to_recordset({quote_literal(document)})"


def row(catalogue: str, column: str, name: str) -> Check:
    """That `catalogue` has `name`."""
    return Check(
        condition=f"EXISTS (SELECT FROM pg_catalog.{catalogue} c WHERE c.{column} = v.name)",
        values=(("name", name),),
    )


def role_exists(name: str) -> Check:
    """That there is a role `name`."""
    return row("pg_roles", "rolname", name)


def is_member(member: str, group: str, options: str = "") -> Check:
    """That `member` is a direct member of `group`; `options` is a further condition on pg_auth_members `m`.

    pg_has_role would also count membership through other roles, which may be removed.
    """
    # By the index of memberships: a join would read all of them for each role.
    oid = "(SELECT a.oid FROM pg_catalog.pg_roles a WHERE a.rolname = v.{})"
    names = f"m.member = {oid.format('member')} AND m.roleid = {oid.format('granted')}"
    further = f" AND {options}" if options else ""
    return Check(
        condition=f"EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE {names}{further})",
        values=(("member", member), ("granted", group)),
    )
