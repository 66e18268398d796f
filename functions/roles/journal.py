"""The applied-state journal of an RDS instance: a table in it, so a restored snapshot has its own."""

from __future__ import annotations

from collections.abc import Sequence

from functions.roles.session import DatabaseSession
from functions.roles.steps import run_step
from postgres.declaration import Declaration
from postgres.identifiers import MAINTENANCE_DATABASE, quote_identifier, quote_literal
from postgres.journal import DamagedJournalError, journal_from_json, journal_to_json
from postgres.steps import Check, Executor, Step, row
from runtime.errors import FailedError, RefusedError

SCHEMA = "pgpasswordless"

_TABLE = f"{SCHEMA}.declarations"
# The name of the row; deployed instances have it.
_ROW = "traces"


def journal_check(administrator: str) -> Check:
    """That the administrator may create the journal's schema."""
    privileged = f"pg_catalog.has_database_privilege(r.oid, {quote_literal(MAINTENANCE_DATABASE)}, 'CREATE')"
    return Check(
        condition=f"EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = v.role AND {privileged})",
        values=(("role", administrator),),
    )


def allow_journal_step(administrator: str) -> Step:
    """The step that allows the administrator to create the journal's schema.

    The master runs it, since the maintenance database belongs to the master.
    """
    return _step(
        f"GRANT CREATE ON DATABASE {MAINTENANCE_DATABASE} TO {quote_identifier(administrator)}",
        f"administrator {administrator} may create the schema of its journal",
        check=journal_check(administrator),
        as_role="master",
    )


class Journal:
    """The journal, in a session of the administrator in the maintenance database."""

    def __init__(self, session: DatabaseSession, administrator: str) -> None:
        """Lock the journal for as long as the session lasts, and create it unless it exists.

        Raises:
            RefusedError: it cannot be created.
            FailedError: another run holds the lock.
        """
        self._session = session
        self._administrator = administrator
        self._run(
            f"SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtext({quote_literal(SCHEMA)}))",
            "be the only run on this instance",
        )
        self._run(
            f"CREATE SCHEMA {SCHEMA}",
            "create the schema of the journal",
            check=row("pg_namespace", "nspname", SCHEMA),
        )
        self._refuse_another_owner()
        self._run(
            f"CREATE TABLE {_TABLE} (name text PRIMARY KEY, document text NOT NULL)",
            "create the table of the journal",
            check=Check(condition=f"pg_catalog.to_regclass({quote_literal(_TABLE)}) IS NOT NULL"),
        )

    def read(self) -> list[Declaration]:
        """The declarations, oldest first; none on a new instance.

        Raises:
            FailedError: the journal is damaged.
        """
        query = f"SELECT document FROM {_TABLE} WHERE name = {quote_literal(_ROW)}"  # noqa: S608 - constants
        rows = self._session.run(query)
        try:
            return journal_from_json(rows[0][0]) if rows else []
        except DamagedJournalError as error:
            raise FailedError(
                f"{_TABLE} in database {MAINTENANCE_DATABASE} is damaged ({error}); restore its row "
                f"{_ROW!r} or delete it"
            ) from error

    def write(self, journal: Sequence[Declaration]) -> None:
        """Replace the declarations.

        Raises:
            RefusedError, FailedError: the server does not accept them.
        """
        document = quote_literal(journal_to_json(journal))
        self._run(
            f"INSERT INTO {_TABLE} VALUES ({quote_literal(_ROW)}, {document}) "  # noqa: S608 - quoted
            "ON CONFLICT (name) DO UPDATE SET document = excluded.document",
            "write the declaration to the journal",
        )

    def _refuse_another_owner(self) -> None:
        owner = "pg_catalog.pg_get_userbyid(nspowner)"
        owners = self._session.run(f"SELECT {owner} FROM pg_catalog.pg_namespace WHERE nspname = '{SCHEMA}'")  # noqa: S608 - constants
        if owners != [[self._administrator]]:
            raise RefusedError(
                f"administrator {self._administrator!r} was {owners[0][0]!r}, which owns the databases and "
                f"schema {SCHEMA} of database {MAINTENANCE_DATABASE}; keep the name"
            )

    def _run(self, sql: str, purpose: str, check: Check | None = None) -> None:
        run_step(_step(sql, purpose, check), self._session)


def _step(sql: str, purpose: str, check: Check | None, as_role: Executor = "administrator") -> Step:
    return Step(database=MAINTENANCE_DATABASE, as_role=as_role, sql=sql, purpose=purpose, check=check)
