"""Steps as a session runs them, and a count of those that ran."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from functions.roles.session import DatabaseSession, SqlError
from postgres.reconciliation import Failure
from postgres.steps import Step
from runtime.errors import FailedError, RefusedError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The purposes of the steps that ran, in order."""

    done: list[str] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Log the purpose of a step that ran, and add it to `done`."""
        self.done.append(step.purpose)
        _log.info("%s", step.purpose)


def run_step(step: Step, session: DatabaseSession, progress: Progress | None = None) -> None:
    """Run a step unless it is done already, and count it in `progress`.

    Raises:
        RefusedError: the server refuses it; with its purpose and the server's message.
        FailedError: it may succeed later.
    """
    failure = attempt(step, session, progress)
    if failure is not None:
        raise (FailedError if failure.passing else RefusedError)(str(failure))


def attempt(step: Step, session: DatabaseSession, progress: Progress | None) -> Failure | None:
    """Run a step unless it is done already, and count it; the failure if the server refuses it."""
    try:
        if step.check is not None and session.has_row(step.check.query):
            return None
        session.run(step.sql)
    except SqlError as error:
        return Failure(step=step, sqlstate=error.sqlstate, message=str(error))
    if progress is not None:
        progress.add(step)
    return None
