"""Applies the role declaration: the steps of `postgres.roles`, as the administrator."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from functions.roles.administrator import Administrator
from functions.roles.journal import Journal
from functions.roles.session import DatabaseSession, NoSuchDatabase
from functions.roles.steps import Progress
from postgres.declaration import Declaration
from postgres.identifiers import MAINTENANCE_DATABASE
from postgres.journal import apply_with_journal
from postgres.roles import statements
from postgres.steps import Step
from runtime.errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The databases, roles and grants of one instance; `administrator.ensure` has run."""

    administrator: Administrator
    major: int
    progress: Progress

    def apply(self, desired: Declaration) -> None:
        """Make the catalogues agree with the declaration, and undo what only earlier declarations named.

        Raises:
            RefusedError: the server refuses a step, or no steps lead from an earlier declaration to this one.
            FailedError: the run may succeed later.
        """

        def plan(previous: Declaration | None) -> list[Step]:
            try:
                return statements(desired, previous, self.major, "rds")
            except ValueError as error:
                raise RefusedError(f"declaration: {error}") from error

        with ExitStack() as stack:
            first = stack.enter_context(self.administrator.session())
            journal = Journal(first, self.administrator.name)
            sessions: dict[str, DatabaseSession] = {MAINTENANCE_DATABASE: first}
            apply_with_journal(
                desired,
                journal.read(),
                plan=plan,
                write=journal.write,
                run=lambda steps: self._run(steps, sessions, stack),
            )

    def _run(self, steps: Sequence[Step], sessions: dict[str, DatabaseSession], stack: ExitStack) -> None:
        for step in steps:
            # The master's steps ran in `administrator.ensure`.
            if step.as_role != "administrator":
                continue
            try:
                if step.database not in sessions:
                    sessions[step.database] = stack.enter_context(self.administrator.session(step.database))
            except NoSuchDatabase:
                if not step.database_may_be_missing:
                    raise
                continue
            self.progress.run(step, sessions[step.database], self.administrator.name)
