"""Carries out the role declaration: the steps of `postgres.roles`, as the administrator."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from functions.roles.administrator import Administrator
from functions.roles.progress import Progress
from functions.roles.record import Record
from functions.roles.session import NoSuchDatabase, Session
from postgres.roles import Declaration, Step, statements
from postgres.steps import MAINTENANCE_DATABASE
from postgres.traces import apply_after_traces
from runtime.errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The databases, roles and grants of one instance, whose administrator is as it must be."""

    administrator: Administrator
    major: int
    progress: Progress

    def apply(self, desired: Declaration) -> None:
        """Make the catalogues say what is declared; takes back what earlier declarations said.

        Raises:
            RefusedError: the server refuses a step, or there is no way from an earlier declaration.
            FailedError: something stands in the way that may pass.
        """

        def plan(previous: Declaration | None) -> list[Step]:
            try:
                return statements(desired, previous, self.major, "rds")
            except ValueError as error:
                raise RefusedError(f"declaration: {error}") from error

        with ExitStack() as stack:
            first = stack.enter_context(self.administrator.session())
            record = Record(first, self.administrator.name)
            sessions: dict[str, Session] = {MAINTENANCE_DATABASE: first}
            apply_after_traces(
                desired,
                record.read(),
                plan=plan,
                record=record.write,
                run=lambda steps: self._run(steps, sessions, stack),
            )

    def _run(self, steps: Sequence[Step], sessions: dict[str, Session], stack: ExitStack) -> None:
        for step in steps:
            # The master's steps made the administrator before this.
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
