"""Carries out the role declaration: the steps of `postgres.roles`, as the executor that each one names."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node import files
from node.cluster import SUPERUSER
from node.errors import FailedError, RefusedError
from node.layout import Layout
from node.sql import Sql, SqlError
from postgres.roles import Declaration, DeclarationError, Step, statements


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The roles of one server.

    A list on the data volume names the declarations whose traces the catalogues may hold: an apply
    that was killed or refused half way leaves its own there, until a whole one has undone it.
    """

    layout: Layout
    sql: Sql
    major: int

    def apply(self, desired: Declaration) -> None:
        """Make the catalogues say what is declared; takes back what earlier declarations said.

        Raises:
            RefusedError: the server refuses a step; with its purpose and the server's words.
            FailedError: a step may succeed later.
        """
        traces = recorded(self.layout.declarations)
        if desired not in traces:
            _record(self.layout.declarations, [*traces, desired])
        earlier: list[Declaration | None] = [trace for trace in traces if trace != desired]
        for previous in earlier or [None]:
            try:
                steps = statements(desired, previous, self.major)
            except ValueError as error:
                _record(self.layout.declarations, traces)
                raise RefusedError([f"roles.json: {error}"]) from error
            self._run(steps, desired.administrator)
        _record(self.layout.declarations, [desired])

    def _run(self, steps: list[Step], administrator: str) -> None:
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
            raise RefusedError([text]) from error

    def _exists(self, database: str) -> bool:
        return [database] in self.sql.run("SELECT datname FROM pg_database;")


def recorded(path: Path) -> list[Declaration]:
    """The declarations whose traces the catalogues may hold, oldest first; empty on a new server.

    Raises:
        FailedError: the list is damaged; guessing could leave a removed role with its login.
    """
    try:
        documents = json.loads(path.read_bytes())
        return [Declaration.from_json(json.dumps(document)) for document in documents]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, DeclarationError) as error:
        raise FailedError(f"{path} is damaged ({error}); restore it or remove it") from error


def _record(path: Path, declarations: list[Declaration]) -> None:
    documents = [json.loads(declaration.to_json()) for declaration in declarations]
    files.write(path, json.dumps(documents).encode())


def _psql(step: Step) -> Iterator[str]:
    sql = f"{step.sql.rstrip().rstrip(';')};\n"
    if step.unless is None:
        yield sql
        return
    yield f"SELECT NOT EXISTS ({step.unless.rstrip().rstrip(';')}) AS wanted \\gset\n"
    yield f"\\if :wanted\n{sql}\\endif\n"
