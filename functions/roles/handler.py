"""The entry point that Lambda calls, and its answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

from functions.roles.administrator import Administrator
from functions.roles.event import Event, EventError
from functions.roles.retry import RetryPolicy
from functions.roles.roles import Roles
from functions.roles.session import SqlError
from functions.roles.steps import Progress
from runtime.errors import FailedError, RefusedError

SCHEMA_VERSION = 1

# Lambda gives the root logger a handler and a level above INFO.
_log = logging.getLogger("functions.roles")
_log.setLevel(logging.INFO)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended: a message for people, never a traceback, never a secret.

    Attributes:
        outcome: `refused` until the event changes; `failed` if the same event may succeed later.
        message: What was applied, or why not.
        steps: How many statements ran; none if everything was as declared.
    """

    outcome: Literal["applied", "refused", "failed"]
    message: str
    steps: int

    def to_json(self) -> dict[str, Any]:
        """The answer to whoever invoked the function."""
        return {
            "schemaVersion": SCHEMA_VERSION,
            "outcome": self.outcome,
            "message": self.message,
            "steps": self.steps,
        }


def handle(event: Any, context: object) -> dict[str, Any]:
    """Bring one instance to the state that the event declares; the answer tells how it ended.

    Whatever AWS, the network or the server answers is an outcome; only a bug in this program raises.
    """
    del context
    outcome = run(event)
    level = logging.INFO if outcome.outcome == "applied" else logging.ERROR
    _log.log(level, "%s after %d steps: %s", outcome.outcome, outcome.steps, outcome.message)
    return outcome.to_json()


def run(document: Any, retry: RetryPolicy | None = None) -> Outcome:
    """The outcome of an event; `retry` is for permissions that AWS has not propagated yet."""
    progress = Progress()
    try:
        event = Event.from_json(document)
        message = _apply(event, progress, retry or RetryPolicy())
    except EventError as error:
        return Outcome(outcome="refused", message=f"event: {error}", steps=0)
    except RefusedError as error:
        return Outcome(outcome="refused", message=str(error), steps=len(progress.done))
    except (FailedError, SqlError) as error:
        return Outcome(outcome="failed", message=str(error), steps=len(progress.done))
    return Outcome(outcome="applied", message=message, steps=len(progress.done))


def _apply(event: Event, progress: Progress, retry: RetryPolicy) -> str:
    administrator = Administrator(event=event, progress=progress, retry=retry)
    administrator.ensure()
    if event.declaration is None:
        return f"{event.server}: administrator {event.administrator} logs in by IAM"
    roles = Roles(administrator=administrator, major=event.major, progress=progress)
    roles.apply(event.declaration)
    declared = event.declaration
    return (
        f"{event.server}: {len(declared.databases)} databases and {len(declared.roles)} roles are as declared"
    )
