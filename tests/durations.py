"""Where the time of a run went: seconds of each file, its fixtures apart from its tests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import pytest

SHOWN = 10
SHORT_SECONDS = 10.0


@dataclass
class Seconds:
    """Seconds of one file, summed over all workers.

    Attributes:
        fixtures: Setup and teardown of its tests. What several files share counts where it is first used.
        tests: The tests themselves.
    """

    fixtures: float = 0.0
    tests: float = 0.0

    @property
    def total(self) -> float:
        """Both together."""
        return self.fixtures + self.tests


def seconds_by_file(reports: list[pytest.TestReport]) -> dict[str, Seconds]:
    """Seconds of each file, the slowest first."""
    files: dict[str, Seconds] = defaultdict(Seconds)
    for report in reports:
        seconds = files[report.nodeid.partition("::")[0]]
        if report.when == "call":
            seconds.tests += report.duration
        else:
            seconds.fixtures += report.duration
    return dict(sorted(files.items(), key=lambda item: item[1].total, reverse=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the slowest files of a run that took more than a moment."""
    reports = [
        each
        for kind in terminalreporter.stats.values()
        for each in kind
        if isinstance(each, pytest.TestReport)
    ]
    files = seconds_by_file(reports)
    whole = Seconds(sum(each.fixtures for each in files.values()), sum(each.tests for each in files.values()))
    if whole.total < SHORT_SECONDS:
        return
    terminalreporter.section(f"slowest {SHOWN} files, in seconds of one worker")
    terminalreporter.line("   total  fixtures     tests")
    for name, seconds in [("all files", whole), *list(files.items())[:SHOWN]]:
        terminalreporter.line(f"{seconds.total:8.1f}  {seconds.fixtures:8.1f}  {seconds.tests:8.1f}  {name}")
