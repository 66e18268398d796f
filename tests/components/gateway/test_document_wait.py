"""The wait for a gateway's instances, on a clock of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from components.gateway.document_wait import Expected, Fleet, Verdict, wait_for_document
from components.gateway.reports import GatewayReportsProvider
from components.report_wait import UnreadableError
from gateway.report import Report

EXPECTED = Expected(gateway="gateway", serial=7, sha256="a" * 64)
GOOD = Report(serial=7, sha256="a" * 64)
OLD = Report(serial=6, sha256="6" * 64)
Reports = Mapping[str, Report | None]


@dataclasses.dataclass
class Wait:
    """Instances in service with their reports, as a function of the seconds since the start."""

    reports: Callable[[float], Reports]
    desired: int = 2
    deadline: float = 600
    now: float = 1000.0
    said: list[str] = dataclasses.field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.now - 1000

    def run(self) -> Verdict:
        def sleep(seconds: float) -> None:
            assert seconds > 0
            self.now += seconds

        return wait_for_document(
            EXPECTED,
            deadline_seconds=self.deadline,
            fleet=lambda: Fleet(desired=self.desired, in_service=tuple(self.reports(self.seconds))),
            report=lambda instance: self.reports(self.seconds)[instance],
            clock=lambda: self.now,
            sleep=sleep,
            say=self.said.append,
        )


def test_it_waits_until_every_instance_serves_it() -> None:
    wait = Wait(lambda t: {"i-1": OLD if t < 3 else GOOD, "i-2": OLD if t < 9 else GOOD})
    assert wait.run().outcome == "applied"
    assert wait.seconds == pytest.approx(9)
    assert "document 7 is served by 1 of 2 instances; i-2 serves document 6" in wait.said[1]


def test_the_right_serial_with_another_content_is_not_enough() -> None:
    wait = Wait(lambda _: {"i-1": Report(serial=7, sha256="b" * 64), "i-2": GOOD})
    verdict = wait.run()
    assert (verdict.outcome, wait.seconds) == ("failed", 600)
    assert "i-1 serves document 7 (SHA-256 bbbbbbbbbbbb…)" in verdict.message


@pytest.mark.parametrize("other", [GOOD, OLD, None])
def test_one_that_refuses_it_ends_the_wait_with_its_words(other: Report | None) -> None:
    refusing = OLD.model_copy(update={"refused_sha256": "a" * 64, "problem": "document 7 is older"})
    wait = Wait(lambda t: {"i-1": other, "i-2": OLD if t < 4 else refusing})
    verdict = wait.run()
    assert verdict.outcome == "refused"
    assert "gateway refuses document 7: " in verdict.message
    assert "i-2 serves document 6 (SHA-256 666666666666…): document 7 is older" in verdict.message
    assert wait.seconds == pytest.approx(4)


def test_one_that_refused_an_earlier_document_is_waited_for() -> None:
    refused = OLD.model_copy(update={"refused_sha256": "c" * 64, "problem": "no"})
    assert Wait(lambda t: {"i-1": refused if t < 2 else GOOD}).run().outcome == "applied"


@pytest.mark.parametrize("refused", [None, GOOD.sha256, "0" * 64], ids=["not seen", "ours", "another"])
def test_a_newer_document_of_somebody_else_ends_the_wait(refused: str | None) -> None:
    # An instance that has seen ours refuses it as older.
    newer = Report(serial=8, sha256="8" * 64, refused_sha256=refused)
    verdict = Wait(lambda _: {"i-1": GOOD, "i-2": newer}).run()
    assert verdict.outcome == "superseded"
    assert "i-2 serves document 8" in verdict.message


def test_instances_that_are_replaced_count_until_they_are_gone() -> None:
    def during_a_refresh(t: float) -> Reports:
        # The old program does not report at all.
        if t < 60:
            return {"i-old": None}
        return {"i-old": None, "i-new": GOOD} if t < 120 else {"i-new": GOOD}

    wait = Wait(during_a_refresh, desired=1)
    assert wait.run().outcome == "applied"
    assert wait.seconds == pytest.approx(120)
    assert "gateway: document 7 is served by 0 of 1 instances; i-old has not reported" in wait.said[0]


def test_a_group_without_instances_has_nothing_to_wait_for() -> None:
    wait = Wait(lambda _: {}, desired=0)
    assert (wait.run().outcome, wait.seconds) == ("applied", 0)


def test_a_group_whose_instances_are_to_come_is_waited_for() -> None:
    wait = Wait(lambda t: {} if t < 5 else {"i-1": GOOD}, desired=1)
    assert (wait.run().outcome, wait.seconds) == ("applied", 5)
    assert wait.said == ["gateway: document 7 is served by 0 of 0 instances; 1 are to come"]


def test_without_a_report_the_deadline_ends_it() -> None:
    verdict = Wait(lambda _: {"i-1": GOOD, "i-2": None}, deadline=30).run()
    assert verdict.outcome == "failed"
    assert "served by 1 of 2 instances; i-2 has not reported after 30 s" in verdict.message


def test_one_that_cannot_fetch_it_for_two_minutes_ends_it() -> None:
    denied = OLD.model_copy(update={"problem": "s3://d/gateway.json cannot be fetched: AccessDenied"})
    wait = Wait(lambda _: {"i-1": denied})
    verdict = wait.run()
    assert (verdict.outcome, wait.seconds) == ("failed", 120)
    assert "cannot be fetched: AccessDenied" in verdict.message


def test_one_that_serves_it_and_refuses_what_came_after_it_ends_nothing() -> None:
    serving = GOOD.model_copy(update={"refused_sha256": "c" * 64, "problem": "document 6 is older"})
    wait = Wait(lambda t: {"i-1": serving, "i-2": OLD if t < 300 else GOOD})
    assert (wait.run().outcome, wait.seconds) == ("applied", 300)


def test_what_cannot_be_read_is_waited_for_and_then_named() -> None:
    def unreadable(t: float) -> Reports:
        if t < 20:
            raise UnreadableError("AccessDenied:\n\x1b[31m")
        return {"i-1": GOOD}

    assert Wait(unreadable).run().outcome == "applied"
    verdict = Wait(unreadable, deadline=10).run()
    assert verdict.outcome == "unreadable"
    assert "cannot be read: AccessDenied:; \\x1b[31m after 10 s" in verdict.message


PROPS: dict[str, Any] = {
    "region": "eu-central-1", "accountId": "1", "group": "g", "bucket": "b", "prefix": "p",
    "gateway": "gateway", "serial": 7.0, "sha256": "a" * 64, "deadlineSeconds": 600.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"outcome": "applied"}, {}, False),
        ({"outcome": "applied"}, {"deadlineSeconds": 60.0}, False),
        ({"outcome": "applied"}, {"serial": 8.0}, True),
        ({"outcome": "applied"}, {"sha256": "b" * 64}, True),
        ({"outcome": "applied"}, {"group": "h"}, True),
        ({"outcome": "refused"}, {}, True),
        ({}, {}, True),
    ],
)
def test_what_is_waited_for_again(old: dict[str, Any], new: dict[str, Any], changes: bool) -> None:
    result = GatewayReportsProvider().diff("id", {**PROPS, **old}, {**PROPS, **new})
    assert result.changes is changes
    assert not result.replaces
