"""Progress is readable on a terminal, in a log, and without colours."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from engine import progress as console
from engine.progress import Progress, duration


def plain() -> tuple[Progress, io.StringIO]:
    output = io.StringIO()
    return Progress(Console(file=output, highlight=False, soft_wrap=True)), output


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (185, "3 min 05 s")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_quick_step_is_one_line() -> None:
    progress, output = plain()
    with progress.step("engine") as step:
        step.result = "Pulumi 3.259.0 [cache]"
    assert output.getvalue() == "engine: Pulumi 3.259.0 [cache]\n"


def test_a_long_step_reports_in_between(monkeypatch) -> None:
    monkeypatch.setattr(console, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(console, "PLAIN_INTERVAL_SECONDS", 0.01)
    progress, output = plain()
    with progress.step("engine") as step:
        step.detail = "compiling a/b"
        while "compiling a/b" not in output.getvalue():
            step._finished.wait(0.01)
    assert "engine: 0 s, compiling a/b\n" in output.getvalue()


def test_a_step_that_fails_claims_nothing() -> None:
    progress, output = plain()
    with pytest.raises(ValueError, match="no"), progress.step("engine"):
        raise ValueError("no")
    assert output.getvalue() == ""


def test_a_terminal_gets_one_live_line(monkeypatch) -> None:
    monkeypatch.setattr(console, "LIVE_INTERVAL_SECONDS", 0.01)
    output = io.StringIO()
    progress = Progress(Console(file=output, force_terminal=True, width=60, highlight=False))
    with progress.step("engine") as step:
        step.detail = "compiling " + "x" * 200
        step.say("a line that stays")
    assert "a line that stays" in output.getvalue()


def test_no_color_is_honoured(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    output = io.StringIO()
    progress = Progress(Console(file=output, force_terminal=True))
    progress.say("text")
    assert "\x1b[3" not in output.getvalue()
