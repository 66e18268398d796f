"""Reconciles the catalogues with the declaration, as the administrator, and as the master where it must."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from functions.roles.administrator import Administrator
from functions.roles.journal import Journal
from functions.roles.session import DatabaseSession, NoSuchDatabase, SqlError
from functions.roles.steps import Progress, attempt
from postgres.administrator import administrator_steps
from postgres.declaration import Declaration
from postgres.identifiers import MAINTENANCE_DATABASE
from postgres.journal import apply_with_journal
from postgres.reconciliation import LOCK_SECONDS, Failure, Reconciliation, reconcile
from postgres.roles import statements
from postgres.steps import Executor, Step
from runtime.errors import FailedError, RefusedError


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """What a run found and did.

    Attributes:
        found: The reconciliation.
        drifted: Whether what was put back had been applied before, and somebody changed it since.
    """

    found: Reconciliation
    drifted: bool


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The databases, roles and grants of one instance; `administrator.ensure` has run."""

    administrator: Administrator
    major: int
    progress: Progress

    def apply(self, desired: Declaration, *, held: bool) -> Reconciled:
        """Make the catalogues agree with the declaration, and undo what only earlier declarations named.

        Where a hold lasts (`held`), one that has been applied in full is only compared, access apart.

        Raises:
            RefusedError: no steps lead from an earlier declaration to this one.
            FailedError: the run may succeed later.
        """

        def plan(previous: Declaration | None) -> list[Step]:
            try:
                steps = statements(desired, previous, self.major, "rds")
            except ValueError as error:
                raise RefusedError(f"declaration: {error}") from error
            # These ran in `administrator.ensure`.
            ran = set(administrator_steps(desired.administrator, self.major, "rds"))
            return [step for step in steps if step not in ran]

        with ExitStack() as stack:
            first = stack.enter_context(self.administrator.session())
            journal = Journal(first, self.administrator.name)
            recorded = journal.read()
            applied = recorded == [desired]
            server = _Server(administrator=self.administrator, progress=self.progress, stack=stack)
            server.keep(first, "administrator", MAINTENANCE_DATABASE)
            found = apply_with_journal(
                desired,
                recorded,
                plan=plan,
                write=journal.write,
                run=lambda steps: reconcile(steps, desired, self.major, "rds", server, held=held and applied),
            )
        return Reconciled(found=found, drifted=bool(found.put_back) and applied)


@dataclass(frozen=True, kw_only=True)
class _Server:
    """The server as `reconcile` reaches it; sessions stay open until the run ends."""

    administrator: Administrator
    progress: Progress
    stack: ExitStack
    sessions: dict[tuple[Executor, str], DatabaseSession] = field(default_factory=dict)

    def keep(self, session: DatabaseSession, executor: Executor, database: str) -> None:
        """Use a session for steps."""
        session.run(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        self.sessions[executor, database] = session

    def query(self, sql: str, database: str) -> list[list[str]] | None:
        try:
            return self._session("administrator", database).run(sql)
        except NoSuchDatabase:
            return None
        except SqlError as error:
            raise FailedError(f"database {database}: {error}") from error

    def run(self, steps: Sequence[Step], database: str, executor: Executor) -> list[Failure]:
        session = self._session(executor, database)
        attempts = (attempt(step, session, self.progress) for step in steps)
        return [failure for failure in attempts if failure is not None]

    def _session(self, executor: Executor, database: str) -> DatabaseSession:
        if (executor, database) not in self.sessions:
            open_session = (
                self.administrator.master_session if executor == "master" else self.administrator.session
            )
            self.keep(self.stack.enter_context(open_session(database)), executor, database)
        return self.sessions[executor, database]
