from __future__ import annotations

from typing import Any

import pytest

from postgres.roles import Database, Declaration
from postgres.traces import DamagedRecord, apply_after_traces, traces_from_json, traces_to_json

FIRST, SECOND, THIRD = (
    Declaration(administrator="pgpl_admin", databases=(Database(name=name),)) for name in ("a", "b", "c")
)


class Executor:
    """Keeps a record; `run` is killed after so many plans."""

    def __init__(self, *traces, survives=9):
        self.traces, self.survives, self.led_from = list(traces), survives, []

    def apply(self, desired):
        def run(steps):
            if len(self.led_from) == self.survives:
                raise KeyboardInterrupt
            self.led_from.extend(steps)

        plan: Any = lambda previous: [previous]  # noqa: E731 - stands for steps
        apply_after_traces(desired, self.traces, plan=plan, record=self.record, run=run)

    def record(self, traces):
        self.traces = list(traces)


def test_the_first_declaration_is_led_to_from_nothing():
    executor = Executor()
    executor.apply(FIRST)
    assert (executor.led_from, executor.traces) == ([None], [FIRST])
    executor.apply(FIRST)
    assert executor.led_from == [None, None]


def test_an_interrupted_apply_is_known_to_the_next():
    executor = Executor(FIRST, survives=0)
    with pytest.raises(KeyboardInterrupt):
        executor.apply(SECOND)
    assert executor.traces == [FIRST, SECOND]
    executor.survives = 9
    executor.apply(THIRD)
    assert (executor.led_from, executor.traces) == ([FIRST, SECOND], [THIRD])


def test_what_cannot_be_planned_is_not_recorded():
    executor = Executor(FIRST)

    def plan(previous):
        raise ValueError(previous)

    with pytest.raises(ValueError, match="'a'"):
        apply_after_traces(SECOND, executor.traces, plan=plan, record=executor.record, run=print)
    assert executor.traces == [FIRST]


def test_the_record_is_read_as_it_was_written():
    assert traces_from_json(traces_to_json([FIRST, SECOND])) == [FIRST, SECOND]
    for damaged in ("", "{", "7", '[{"schemaVersion":1}]', "[7]"):
        with pytest.raises(DamagedRecord):
            traces_from_json(damaged)
