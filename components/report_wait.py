"""Wait for what machines report. Clock and storage are arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pulumi
from pydantic import BaseModel

POLL_SECONDS = 1.0
SIGN_OF_LIFE_SECONDS = 15.0
# Machines retry what fails for reasons outside of them, such as an IAM role that is not yet known
# everywhere. A failure that lasts this long ends the wait.
FAILURE_GRACE_SECONDS = 120.0

_ABSENT = ("NoSuchKey", "404")


class UnreadableError(Exception):
    """A report cannot be read; the text is the error of AWS."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What one look at the reports showed.

    Attributes:
        progress: One line on what is being waited for.
        final: Whether there is nothing left to wait for.
        failing: Whether a machine failed, and tries again.
    """

    progress: str
    final: bool = False
    failing: bool = False


S = TypeVar("S", bound=Sight)
R = TypeVar("R", bound=BaseModel)


def wait(
    look: Callable[[], S],
    *,
    deadline_seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
) -> tuple[S, float]:
    """Look until what is seen is final, machines have failed for long, or the deadline.

    Args:
        look: Looks once.
        deadline_seconds: How long to wait.
        clock: Seconds of a monotonic clock.
        sleep: Waits so many seconds.
        say: Shows one line of progress.

    Returns:
        What was seen last, and the seconds that passed.
    """
    start = clock()
    told: tuple[str, float] = ("", start)
    failing_since: float | None = None
    while True:
        seen = look()
        now = clock()
        if not seen.failing:
            failing_since = None
        elif failing_since is None:
            failing_since = now
        failed_enough = failing_since is not None and now - failing_since >= FAILURE_GRACE_SECONDS
        if seen.final or failed_enough or now - start >= deadline_seconds:
            return seen, now - start
        if seen.progress != told[0] or now - told[1] >= SIGN_OF_LIFE_SECONDS:
            say(seen.progress if seen.progress != told[0] else f"{seen.progress} ({now - start:.0f} s)")
            told = (seen.progress, now)
        sleep(min(POLL_SECONDS, max(0.0, start + deadline_seconds - now)))


def read_report(client: Any, model: type[R], bucket: str, key: str, account: str) -> R | None:
    """The report in an object of S3, None while there is none.

    Args:
        client: boto3's client of S3.
        model: What the report is.
        bucket: Where it is.
        key: Where it is in there.
        account: Whose bucket it is.

    Raises:
        UnreadableError: AWS refuses, or it is no report.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = client.get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=account)
        return model.model_validate_json(answer["Body"].read())
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _ABSENT:
            return None
        raise UnreadableError(str(error)) from error
    except (BotoCoreError, ValueError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def applied_value(value: Any, outcome: str | None, message: str | None) -> Any:
    """`value` where the outcome is `applied`.

    Raises:
        pulumi.RunError: The machines have not applied what they should; the text is the message.
    """
    if outcome != "applied" and not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(message or f"no report: outcome {outcome!r}")
    return value
