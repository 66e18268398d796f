"""The entry point that Lambda calls, and its answer."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import Any, Literal

from functions.roles.administrator import Administrator
from functions.roles.configuration import Configuration, ConfigurationError
from functions.roles.document import SCHEMA_VERSION
from functions.roles.event import EventError, declaration_of
from functions.roles.retry import RetryPolicy
from functions.roles.roles import Reconciled, Roles
from functions.roles.session import SqlError
from functions.roles.steps import Progress
from postgres.declaration import Declaration
from postgres.reconciliation import Reconciliation
from runtime import catalogue_metrics
from runtime.cloudwatch import metrics_line
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
        drift: What somebody had changed since it was applied, and was put back.
        foreign: What others made of declared names, and roles with powers that are not declared.
        held: What somebody changed and is left so as long as the hold lasts.
        hold: Why that is only reported now; empty where it is put back.
    """

    outcome: Literal["applied", "refused", "failed"]
    message: str
    steps: int
    drift: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    hold: str = ""

    def to_json(self) -> dict[str, Any]:
        """The answer to whoever invoked the function."""
        return {
            "schemaVersion": SCHEMA_VERSION,
            "outcome": self.outcome,
            "message": self.message,
            "steps": self.steps,
            "drift": list(self.drift),
            "foreign": list(self.foreign),
            "held": list(self.held),
        }

    def metrics(self) -> dict[str, int]:
        """The outcome as counts."""
        return {
            catalogue_metrics.DRIFT: len(self.drift),
            catalogue_metrics.FOREIGN: len(self.foreign),
            catalogue_metrics.HOLD: int(bool(self.hold)),
            catalogue_metrics.FAILED: int(self.outcome != "applied"),
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
    for text in outcome.drift:
        _log.warning("put back: %s", text)
    for text in outcome.foreign:
        _log.warning("not declared, and left alone: %s", text)
    for text in outcome.held:
        _log.warning("left alone, %s: %s", outcome.hold, text)
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    counts = {metric: (count, "Count") for metric, count in outcome.metrics().items()}
    print(metrics_line((catalogue_metrics.DIMENSION, name), counts, time.time()))
    level = logging.INFO if outcome.outcome == "applied" else logging.ERROR
    _log.log(level, "%s after %d steps: %s", outcome.outcome, outcome.steps, outcome.message)
    return outcome.to_json()


def run(event: Any, configuration: Configuration, retry: RetryPolicy | None = None) -> Outcome:
    """The outcome of an event; `retry` is for permissions that AWS has not propagated yet."""
    progress, hold = Progress(), configuration.held
    try:
        declaration = declaration_of(event, configuration)
        reconciled = _reconcile(declaration, configuration, progress, retry or RetryPolicy())
    except EventError as error:
        return Outcome(outcome="refused", message=f"event: {error}", steps=0, hold=hold)
    except RefusedError as error:
        return Outcome(outcome="refused", message=str(error), steps=len(progress.done), hold=hold)
    except (FailedError, SqlError) as error:
        return Outcome(outcome="failed", message=str(error), steps=len(progress.done), hold=hold)
    return _outcome(declaration, configuration, progress, reconciled)


def _reconcile(
    declared: Declaration | None, configuration: Configuration, progress: Progress, retry: RetryPolicy
) -> Reconciled:
    administrator = Administrator(configuration=configuration, progress=progress, retry=retry)
    administrator.ensure()
    if declared is None:
        return Reconciled(found=Reconciliation(), drifted=False)
    roles = Roles(administrator=administrator, major=configuration.major, progress=progress)
    return roles.apply(declared, held=bool(configuration.held))


def _outcome(
    declared: Declaration | None, configuration: Configuration, progress: Progress, reconciled: Reconciled
) -> Outcome:
    server, found = configuration.server, reconciled.found
    outcome: Literal["applied", "refused", "failed"] = "applied"
    if declared is None:
        message = f"{server}: administrator {configuration.administrator} logs in by IAM"
    elif found.failures:
        outcome = "failed" if all(failure.passing for failure in found.failures) else "refused"
        message = "; ".join(map(str, found.failures))
    elif found.in_recovery:
        message = f"{server} is a standby, and is left alone"
    elif found.held:
        message = f"{server}: {len(found.held)} differences are left alone, {configuration.held}"
    else:
        databases, roles = len(declared.databases), len(declared.roles)
        message = f"{server}: {databases} databases and {roles} roles are as declared"
    return Outcome(
        outcome=outcome,
        message=message,
        steps=len(progress.done),
        drift=found.put_back if reconciled.drifted else (),
        foreign=found.foreign,
        held=found.held,
        hold=configuration.held,
    )
