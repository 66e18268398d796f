"""The entry point that Lambda calls, and its answer."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any, Literal

from functions.roles.administrator import Administrator
from functions.roles.configuration import Configuration, ConfigurationError
from functions.roles.document import SCHEMA_VERSION
from functions.roles.event import EventError, declaration_of
from functions.roles.retry import RetryPolicy
from functions.roles.roles import Roles
from functions.roles.session import SqlError
from functions.roles.steps import Progress
from postgres.declaration import Declaration
from runtime.errors import FailedError, RefusedError

# Lambda gives the root logger a handler and a level above INFO.
_log = logging.getLogger("functions.roles")
_log.setLevel(logging.INFO)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended: a message for people, never a traceback, never a secret.

    Attributes:
        outcome: `refused` until event or configuration change; `failed` if the same event may succeed later.
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
    """Bring the configured instance to the declared state; the answer tells how it ended.

    Whatever AWS, the network or the server answers is an outcome; only a bug in this program raises.
    """
    del context
    try:
        outcome = run(event, Configuration.deployed(os.environ))
    except ConfigurationError as error:
        outcome = Outcome(outcome="refused", message=f"configuration: {error}", steps=0)
    level = logging.INFO if outcome.outcome == "applied" else logging.ERROR
    _log.log(level, "%s after %d steps: %s", outcome.outcome, outcome.steps, outcome.message)
    return outcome.to_json()


def run(event: Any, configuration: Configuration, retry: RetryPolicy | None = None) -> Outcome:
    """The outcome of an event; `retry` is for permissions that AWS has not propagated yet."""
    progress = Progress()
    try:
        declaration = declaration_of(event, configuration)
        message = _apply(declaration, configuration, progress, retry or RetryPolicy())
    except EventError as error:
        return Outcome(outcome="refused", message=f"event: {error}", steps=0)
    except RefusedError as error:
        return Outcome(outcome="refused", message=str(error), steps=len(progress.done))
    except (FailedError, SqlError) as error:
        return Outcome(outcome="failed", message=str(error), steps=len(progress.done))
    return Outcome(outcome="applied", message=message, steps=len(progress.done))


def _apply(
    declared: Declaration | None, configuration: Configuration, progress: Progress, retry: RetryPolicy
) -> str:
    administrator = Administrator(configuration=configuration, progress=progress, retry=retry)
    administrator.ensure()
    server = configuration.server
    if declared is None:
        return f"{server}: administrator {configuration.administrator} logs in by IAM"
    Roles(administrator=administrator, major=configuration.major, progress=progress).apply(declared)
    return f"{server}: {len(declared.databases)} databases and {len(declared.roles)} roles are as declared"
