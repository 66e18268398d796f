"""Which declarations the catalogues may hold traces of, kept in the instance itself.

So a restored snapshot carries the record of what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from functions.roles.progress import run_step
from functions.roles.session import Session
from postgres.declaration import Declaration
from postgres.identifiers import quote_identifier, quote_literal
from postgres.steps import MAINTENANCE_DATABASE, Executor, Step, row
from postgres.traces import DamagedRecord, traces_from_json, traces_to_json
from runtime.errors import FailedError, RefusedError

SCHEMA = "pgpasswordless"

_TABLE = f"{SCHEMA}.declarations"
_NAME = "traces"


def may_make_record_step(administrator: str) -> Step:
    """The master's step that lets the administrator make the schema: the database is the master's."""
    privileged = (
        f"pg_catalog.has_database_privilege({quote_literal(administrator)}, "
        f"{quote_literal(MAINTENANCE_DATABASE)}, 'CREATE')"
    )
    return _step(
        f"GRANT CREATE ON DATABASE {MAINTENANCE_DATABASE} TO {quote_identifier(administrator)}",
        f"administrator {administrator} makes the schema of its record",
        unless=f"SELECT 1 WHERE {privileged}",
        as_role="master",
    )


class Record:
    """The record, in a session of the administrator in the maintenance database."""

    def __init__(self, session: Session, administrator: str) -> None:
        """Make the record, unless it is there, and let no other run have it as long as the session lasts.

        Raises:
            RefusedError: it cannot be made.
            FailedError: another run has it.
        """
        self._session = session
        self._administrator = administrator
        self._run(
            f"SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtext({quote_literal(SCHEMA)}))",
            "be the only run on this instance",
        )
        self._run(
            f"CREATE SCHEMA {SCHEMA}",
            "make the schema of the record",
            unless=row("pg_namespace", "nspname", SCHEMA),
        )
        self._refuse_another_owner()
        self._run(
            f"CREATE TABLE {_TABLE} (name text PRIMARY KEY, document text NOT NULL)",
            "make the table of the record",
            unless=f"SELECT 1 WHERE pg_catalog.to_regclass({quote_literal(_TABLE)}) IS NOT NULL",
        )

    def read(self) -> list[Declaration]:
        """The declarations, oldest first; none on a new instance.

        Raises:
            FailedError: the record is damaged.
        """
        query = f"SELECT document FROM {_TABLE} WHERE name = {quote_literal(_NAME)}"  # noqa: S608 - constants
        rows = self._session.run(query)
        try:
            return traces_from_json(rows[0][0]) if rows else []
        except DamagedRecord as error:
            raise FailedError(
                f"{_TABLE} in database {MAINTENANCE_DATABASE} is damaged ({error}); restore its row "
                f"{_NAME!r} or delete it"
            ) from error

    def write(self, traces: Sequence[Declaration]) -> None:
        """Replace the declarations.

        Raises:
            RefusedError, FailedError: the server does not take them.
        """
        document = quote_literal(traces_to_json(traces))
        self._run(
            f"INSERT INTO {_TABLE} VALUES ({quote_literal(_NAME)}, {document}) "  # noqa: S608 - quoted
            "ON CONFLICT (name) DO UPDATE SET document = excluded.document",
            "record the declaration",
        )

    def _refuse_another_owner(self) -> None:
        owner = "pg_catalog.pg_get_userbyid(nspowner)"
        owners = self._session.run(f"SELECT {owner} FROM pg_catalog.pg_namespace WHERE nspname = '{SCHEMA}'")  # noqa: S608 - constants
        if owners != [[self._administrator]]:
            raise RefusedError(
                f"administrator {self._administrator!r} was {owners[0][0]!r}, which owns the databases and "
                f"schema {SCHEMA} of database {MAINTENANCE_DATABASE}; keep the name"
            )

    def _run(self, sql: str, purpose: str, unless: str | None = None) -> None:
        run_step(_step(sql, purpose, unless), self._session, self._administrator)


def _step(sql: str, purpose: str, unless: str | None, as_role: Executor = "administrator") -> Step:
    return Step(database=MAINTENANCE_DATABASE, as_role=as_role, sql=sql, purpose=purpose, unless=unless)
