"""Progress of a command: live lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.status import Status

QUIET_SECONDS = 2.0
PLAIN_INTERVAL_SECONDS = 15.0
LIVE_INTERVAL_SECONDS = 0.25


def duration(seconds: float) -> str:
    """Seconds as text: `7 s`, `3 min 05 s`."""
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"


class Step:
    """One step in progress. `detail` may be changed from any thread.

    A terminal shows one line with the elapsed time. Anything else gets a line after two seconds and then
    every 15 seconds, so that a log stays short but is never silent for long.
    """

    def __init__(self, console: Console, title: str) -> None:
        """Begin the step `title` without printing anything yet."""
        self.title = title
        self.detail = ""
        self.result = ""
        self._console = console
        self._started = time.monotonic()
        self._finished = threading.Event()
        self._announced = False

    @property
    def elapsed(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Print a line that stays, above the live one."""
        self._console.print(escape(text))

    def _line(self) -> str:
        detail = f", {self.detail}" if self.detail else ""
        return escape(f"{self.title}: {duration(self.elapsed)}{detail}")

    def _report_live(self, status: Status) -> None:
        while not self._finished.wait(LIVE_INTERVAL_SECONDS):
            line = self._line()
            status.update(line[: max(20, self._console.width - 4)])

    def _report_plain(self) -> None:
        wait = QUIET_SECONDS
        while not self._finished.wait(wait):
            self._announced = True
            self._console.print(self._line())
            wait = PLAIN_INTERVAL_SECONDS

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        with ExitStack() as stack:
            report = self._report_plain
            if self._console.is_terminal:
                status = stack.enter_context(self._console.status(escape(self.title)))
                report = partial(self._report_live, status)
            thread = threading.Thread(target=report, name=f"progress of {self.title}", daemon=True)
            thread.start()
            try:
                yield
            finally:
                self._finished.set()
                thread.join()


class Progress:
    """The steps of one command, on standard error; results belong on standard output."""

    def __init__(self, console: Console | None = None) -> None:
        """Print to `console`, by default standard error; NO_COLOR is respected."""
        self._console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show `title` while the block runs, and one line with `result` when it succeeds."""
        step = Step(self._console, title)
        with step._reporting():
            yield step
        took = f" ({duration(step.elapsed)})" if step.elapsed >= QUIET_SECONDS else ""
        self._console.print(escape(f"{title}: {step.result or 'done'}{took}"))

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(escape(text))
