"""Reconciles the catalogues with the role declaration, through psql on the local socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.layout import Layout
from node.sql import Sql
from postgres.declaration import Declaration
from postgres.identifiers import MAINTENANCE_DATABASE, SUPERUSER
from postgres.journal import DamagedJournalError, apply_with_journal, journal_from_json, journal_to_json
from postgres.reconciliation import Failure, Reconciliation, reconcile
from postgres.roles import statements
from postgres.steps import Executor, Step
from runtime import files
from runtime.errors import FailedError, RefusedError

STEPS_PER_SESSION = 100
"""Each session has a time limit, whatever the number of roles."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The roles of one server.

    The applied-state journal on the data volume names every declaration that may have left objects behind:
    an apply that was killed or refused half way leaves its own there, until a complete one has removed them.
    """

    layout: Layout
    sql: Sql
    major: int

    def apply(self, desired: Declaration) -> Reconciliation:
        """As `reconcile`, where a failure is an error.

        Raises:
            RefusedError: the server refuses steps; all other steps are done. Each with its purpose and the
                server's message.
            FailedError: the same, and all of them may succeed later.
        """
        found = self.reconcile(desired)
        texts = [f"roles.json: {failure}" for failure in found.failures]
        if any(not failure.passing for failure in found.failures):
            raise RefusedError(*texts)
        if texts:
            raise FailedError("; ".join(texts))
        return found

    def reconcile(self, desired: Declaration, *, held: bool = False) -> Reconciliation:
        """Make the catalogues agree with the declaration, and undo what only earlier declarations named.

        Where nothing differs, it runs one query per database and changes nothing.

        Args:
            desired: the declaration.
            held: whether a hold lasts, as for `postgres.reconciliation.reconcile`.

        Raises:
            RefusedError: no steps lead from an earlier declaration to this one.
            FailedError: the server cannot be reached, or the journal cannot be read.
        """
        path = self.layout.journal

        def plan(previous: Declaration | None) -> list[Step]:
            try:
                return statements(desired, previous, self.major)
            except ValueError as error:
                raise RefusedError(f"roles.json: {error}") from error

        return apply_with_journal(
            desired,
            read_journal(path),
            plan=plan,
            write=lambda journal: files.replace_file(path, journal_to_json(journal), durable=True),
            run=lambda steps: reconcile(
                steps,
                desired,
                self.major,
                "server",
                _Server(sql=self.sql, administrator=desired.administrator),
                held=held,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class _Server:
    """The server as `reconcile` reaches it."""

    sql: Sql
    administrator: str

    def query(self, sql: str, database: str) -> list[list[str]] | None:
        if database != MAINTENANCE_DATABASE and not self._exists(database):
            return None
        return self.sql.run(f"{sql};", database=database)

    def run(self, steps: Sequence[Step], database: str, executor: Executor) -> list[Failure]:
        role = SUPERUSER if executor == "superuser" else self.administrator
        failures: list[Failure] = []
        for start in range(0, len(steps), STEPS_PER_SESSION):
            failures += self._session(steps[start : start + STEPS_PER_SESSION], database, role)
        return failures

    def _session(self, steps: Sequence[Step], database: str, role: str) -> list[Failure]:
        script = ""
        step_of_line: list[Step] = []
        for step in steps:
            text = "".join(_psql(step))
            script += text
            step_of_line += [step] * text.count("\n")
        failed: dict[Step, Failure] = {}
        for error in self.sql.run_each(script, database=database, role=role):
            step = step_of_line[error.line - 1]
            failed.setdefault(step, Failure(step=step, sqlstate=error.sqlstate, message=str(error)))
        return list(failed.values())

    def _exists(self, database: str) -> bool:
        return [database] in self.sql.run("SELECT datname FROM pg_database;")


def read_journal(path: Path) -> list[Declaration]:
    """The applied-state journal, oldest declaration first; empty on a new server.

    Raises:
        FailedError: it is damaged, or something else has its place; guessing could leave a removed role with
            its login.
    """
    try:
        return journal_from_json(files.read_file(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FailedError(f"the journal of roles: {error}") from error
    except DamagedJournalError as error:
        raise FailedError(f"{path} is damaged ({error}); restore it or remove it") from error


def _psql(step: Step) -> Iterator[str]:
    sql = f"{step.sql.rstrip().rstrip(';')};\n"
    if step.check is None:
        yield sql
        return
    # Without a value `\if` is false, so a check that fails runs nothing.
    yield "\\unset wanted\n"
    yield f"SELECT NOT EXISTS ({step.check.query}) AS wanted \\gset\n"
    yield f"\\if :wanted\n{sql}\\endif\n"
