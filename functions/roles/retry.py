"""Retrying what fails only until AWS has propagated a change, such as a new permission."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long and how often to retry; clock and sleep are fields for tests.

    Attributes:
        seconds: No retry begins later than this.
        interval: Seconds between two attempts.
    """

    seconds: float = 60.0
    interval: float = 2.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def call(self, attempt: Callable[[], Result], retry_on: tuple[type[Exception], ...]) -> Result:
        """The result of the first attempt that raises none of `retry_on`.

        Raises:
            Exception: what the last attempt raised.
        """
        deadline = self.clock() + self.seconds
        while True:
            try:
                return attempt()
            except retry_on:
                if self.clock() + self.interval > deadline:
                    raise
            self.sleep(self.interval)
