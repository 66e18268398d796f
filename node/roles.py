"""Applies the role declaration: the steps of `postgres.roles`, each as the executor that it names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.layout import Layout
from node.sql import Sql, SqlError
from postgres.declaration import Declaration
from postgres.identifiers import SUPERUSER
from postgres.journal import DamagedJournalError, apply_with_journal, journal_from_json, journal_to_json
from postgres.roles import statements
from postgres.steps import Step
from runtime import files
from runtime.errors import FailedError, RefusedError


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The roles of one server.

    The applied-state journal on the data volume names every declaration that may have left objects behind:
    an apply that was killed or refused half way leaves its own there, until a complete one has removed them.
    """

    layout: Layout
    sql: Sql
    major: int

    def apply(self, desired: Declaration) -> None:
        """Make the catalogues agree with the declaration, and undo what only earlier declarations named.

        Raises:
            RefusedError: the server refuses a step; with its purpose and the server's message.
            FailedError: a step may succeed later.
        """
        path = self.layout.journal

        def plan(previous: Declaration | None) -> list[Step]:
            try:
                return statements(desired, previous, self.major)
            except ValueError as error:
                raise RefusedError(f"roles.json: {error}") from error

        apply_with_journal(
            desired,
            read_journal(path),
            plan=plan,
            write=lambda journal: files.replace_file(path, journal_to_json(journal), durable=True),
            run=lambda steps: self._run(steps, desired.administrator),
        )

    def _run(self, steps: Sequence[Step], administrator: str) -> None:
        def where(step: Step) -> tuple[str, str, bool]:
            return step.database, step.as_role, step.database_may_be_missing

        for (database, executor, may_be_missing), group in itertools.groupby(steps, key=where):
            if may_be_missing and not self._exists(database):
                continue
            role = SUPERUSER if executor == "superuser" else administrator
            self._run_group(list(group), database, role)

    def _run_group(self, steps: list[Step], database: str, role: str) -> None:
        script = ""
        first_lines: list[int] = []
        for step in steps:
            first_lines.append(script.count("\n") + 1)
            script += "".join(_psql(step))
        try:
            self.sql.run(script, database=database, role=role)
        except SqlError as error:
            begun = [step for step, line in zip(steps, first_lines, strict=True) if line <= error.line]
            purpose = (begun or steps)[-1].purpose
            text = f"roles.json: {purpose} (database {database}, as {role}): {error}"
            if error.passing:
                raise FailedError(text) from error
            raise RefusedError(text) from error

    def _exists(self, database: str) -> bool:
        return [database] in self.sql.run("SELECT datname FROM pg_database;")


def read_journal(path: Path) -> list[Declaration]:
    """The applied-state journal, oldest declaration first; empty on a new server.

    Raises:
        FailedError: it is damaged; guessing could leave a removed role with its login.
    """
    try:
        return journal_from_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except DamagedJournalError as error:
        raise FailedError(f"{path} is damaged ({error}); restore it or remove it") from error


def _psql(step: Step) -> Iterator[str]:
    sql = f"{step.sql.rstrip().rstrip(';')};\n"
    if step.unless is None:
        yield sql
        return
    yield f"SELECT NOT EXISTS ({step.unless.rstrip().rstrip(';')}) AS wanted \\gset\n"
    yield f"\\if :wanted\n{sql}\\endif\n"
