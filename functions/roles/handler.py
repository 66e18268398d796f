"""The entry point that Lambda calls."""

from __future__ import annotations

import logging
from typing import Any

from functions.roles.administrator import Administrator
from functions.roles.event import Event, EventError
from functions.roles.outcome import Outcome
from functions.roles.patience import Patience
from functions.roles.progress import Progress
from functions.roles.roles import Roles
from functions.roles.session import SqlError
from runtime.errors import FailedError, RefusedError

# Lambda has given the root logger a handler, and a level that hides what is said here.
_log = logging.getLogger("functions.roles")
_log.setLevel(logging.INFO)


def handle(event: Any, context: object) -> dict[str, Any]:
    """Bring one instance to what the event says; the answer says how it ended.

    Only a mistake in this program raises: everything that AWS, the network or the server may say is an
    outcome.
    """
    del context
    outcome = run(event)
    level = logging.INFO if outcome.outcome == "applied" else logging.ERROR
    _log.log(level, "%s after %d steps: %s", outcome.outcome, outcome.steps, outcome.message)
    return outcome.to_json()


def run(document: Any, patience: Patience | None = None) -> Outcome:
    """The outcome of an event; `patience` with permissions that are on their way."""
    progress = Progress()
    try:
        event = Event.from_json(document)
        message = _apply(event, progress, patience or Patience())
    except EventError as error:
        return Outcome(outcome="refused", message=f"event: {error}", steps=0)
    except RefusedError as error:
        return Outcome(outcome="refused", message=str(error), steps=len(progress.done))
    except (FailedError, SqlError) as error:
        return Outcome(outcome="failed", message=str(error), steps=len(progress.done))
    return Outcome(outcome="applied", message=message, steps=len(progress.done))


def _apply(event: Event, progress: Progress, patience: Patience) -> str:
    administrator = Administrator(event=event, progress=progress, patience=patience)
    administrator.ensure()
    if event.declaration is None:
        return f"{event.server}: administrator {event.administrator} logs in by IAM"
    roles = Roles(administrator=administrator, major=event.major, progress=progress)
    roles.apply(event.declaration)
    declared = event.declaration
    return (
        f"{event.server}: {len(declared.databases)} databases and {len(declared.roles)} roles are as declared"
    )
