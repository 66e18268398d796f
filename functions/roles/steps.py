"""Steps as a session runs them, and a count of those that ran."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from functions.roles.session import DatabaseSession, SqlError
from postgres.steps import Step
from runtime.errors import FailedError, RefusedError

_log = logging.getLogger(__name__)


def run_step(step: Step, session: DatabaseSession, login: str) -> bool:
    """Run a step in a session of `login`; False if it is done already.

    Raises:
        RefusedError: the server refuses it; with its purpose and the server's message.
        FailedError: it may succeed later.
    """
    try:
        if step.unless is not None and session.has_row(step.unless):
            return False
        session.run(step.sql)
    except SqlError as error:
        text = f"{step.purpose} (database {step.database}, as {login}): {error}"
        if error.passing:
            raise FailedError(text) from error
        raise RefusedError(text) from error
    return True


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The purposes of the steps that ran, in order."""

    done: list[str] = field(default_factory=list)

    def run(self, step: Step, session: DatabaseSession, login: str) -> None:
        """Run a step, log its purpose and add it to `done`.

        Raises:
            RefusedError, FailedError: as `run_step`.
        """
        if run_step(step, session, login):
            self.done.append(step.purpose)
            _log.info("%s", step.purpose)
