"""Waiting for what AWS has promised and not yet done everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to go on asking; clock and sleep are fields for tests.

    Attributes:
        seconds: After so long the last refusal stands.
        interval: Seconds between two attempts.
    """

    seconds: float = 60.0
    interval: float = 2.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self, attempt: Callable[[], Result], passing: tuple[type[Exception], ...]) -> Result:
        """What an attempt returns, as soon as one is not refused by one of the `passing` exceptions.

        Raises:
            Exception: what the last attempt raised.
        """
        deadline = self.clock() + self.seconds
        while True:
            try:
                return attempt()
            except passing:
                if self.clock() + self.interval > deadline:
                    raise
            self.sleep(self.interval)
