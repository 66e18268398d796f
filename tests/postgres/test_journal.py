from __future__ import annotations

from typing import Any

import pytest

from postgres.declaration import Database, Declaration
from postgres.journal import DamagedJournalError, apply_with_journal, journal_from_json, journal_to_json
from postgres.reconciliation import Reconciliation

FIRST, SECOND, THIRD = (
    Declaration(administrator="pgpl_admin", databases=(Database(name=name),)) for name in ("a", "b", "c")
)


class Executor:
    """Keeps a journal; `run` is killed after so many plans."""

    def __init__(self, *journal, survives=9):
        self.journal, self.survives, self.led_from = list(journal), survives, []
        self.failures: Any = ()

    def apply(self, desired):
        def run(steps):
            if len(self.led_from) == self.survives:
                raise KeyboardInterrupt
            self.led_from.extend(steps)
            return Reconciliation(failures=self.failures)

        plan: Any = lambda previous: [previous]  # noqa: E731 - stands for steps
        apply_with_journal(desired, self.journal, plan=plan, write=self.write, run=run)

    def write(self, journal):
        self.journal = list(journal)


def test_the_first_declaration_is_led_to_from_nothing():
    executor = Executor()
    executor.apply(FIRST)
    assert (executor.led_from, executor.journal) == ([None], [FIRST])
    executor.apply(FIRST)
    assert executor.led_from == [None, None]


def test_an_interrupted_apply_is_known_to_the_next():
    executor = Executor(FIRST, survives=0)
    with pytest.raises(KeyboardInterrupt):
        executor.apply(SECOND)
    assert executor.journal == [FIRST, SECOND]
    executor.survives, executor.failures = 9, ("a role that could not be changed",)
    executor.apply(SECOND)
    assert executor.journal == [FIRST, SECOND]
    executor.failures, executor.led_from = (), []
    executor.apply(THIRD)
    assert (executor.led_from, executor.journal) == ([FIRST, SECOND], [THIRD])


def test_what_cannot_be_planned_is_not_recorded():
    executor = Executor(FIRST)

    def plan(previous):
        raise ValueError(previous)

    with pytest.raises(ValueError, match="'a'"):
        apply_with_journal(
            SECOND, executor.journal, plan=plan, write=executor.write, run=lambda _: Reconciliation()
        )
    assert executor.journal == [FIRST]


def test_the_record_is_read_as_it_was_written():
    assert journal_from_json(journal_to_json([FIRST, SECOND])) == [FIRST, SECOND]
    for damaged in ("", "{", "7", '[{"schemaVersion":1}]', "[7]"):
        with pytest.raises(DamagedJournalError):
            journal_from_json(damaged)
