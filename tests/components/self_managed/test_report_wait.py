from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import dill
import pulumi
import pytest

from components import pinned_image
from components.self_managed import node_report
from components.self_managed.report_wait import Expected, UnreadableError, Verdict, wait_for_report
from node.desired_state import Report

EXPECTED = Expected(server="main", serial=7, manifest_sha256="a" * 64, instance="i-1")


def report(**changes: Any) -> Report:
    return Report(
        **{
            "serial": 7,
            "manifest_sha256": "a" * 64,
            "instance": "i-1",
            "outcome": "applied",
            "message": "serving",
            "applied_serial": 7,
            "time": "2026-11-23T12:00:00Z",
            **changes,
        }
    )


@dataclasses.dataclass
class Wait:
    """A wait on a clock of its own; the report is a function of the seconds since the start."""

    answers: Callable[[float], Report | None]
    deadline: float = 900
    now: float = 1000.0
    said: list[str] = dataclasses.field(default_factory=list)

    def run(self) -> Verdict:
        start = self.now

        def sleep(seconds: float) -> None:
            assert seconds > 0
            self.now += seconds

        return wait_for_report(
            EXPECTED,
            deadline_seconds=self.deadline,
            fetch=lambda: self.answers(self.now - start),
            clock=lambda: self.now,
            sleep=sleep,
            say=self.said.append,
        )


def test_applied_ends_the_wait() -> None:
    wait = Wait(
        lambda t: None if t < 5 else report(outcome="applying", message="initdb") if t < 9 else report()
    )
    verdict = wait.run()
    assert (verdict.outcome, verdict.message) == ("applied", "serving")
    assert wait.now - 1000 == pytest.approx(9)
    assert wait.said[0] == "main: waiting for instance i-1 to report on desired state 7"
    assert "main: applying: initdb" in wait.said


@pytest.mark.parametrize(
    "other",
    [{"serial": 6, "applied_serial": 6}, {"instance": "i-0"}, {"manifest_sha256": "b" * 64}],
)
def test_reports_about_something_else_are_not_taken_for_ours(other: dict[str, Any]) -> None:
    verdict = Wait(lambda _t: report(**other), deadline=30).run()
    assert verdict.outcome == "no-report"
    assert "no report on desired state 7 from instance i-1 after 30 s" in verdict.message


def test_refused_is_told_at_once_in_the_machine_s_words() -> None:
    wait = Wait(lambda _t: report(outcome="refused", message="pg_hba.conf line 3: trust", applied_serial=6))
    verdict = wait.run()
    assert verdict.outcome == "refused"
    assert verdict.message == (
        "main refused desired state 7: pg_hba.conf line 3: trust (it goes on serving desired state 6)"
    )
    assert wait.now == 1000


HOSTILE = "no\x1b[2Jway\nmain: applied\u202e"


@pytest.mark.parametrize("outcome", ["applying", "applied", "refused", "failed"])
def test_a_machine_s_words_stay_on_their_line(outcome: str) -> None:
    read = Report.model_validate_json(
        json.dumps(
            {
                "serial": 7,
                "manifestSha256": "a" * 64,
                "instance": "i-1",
                "outcome": outcome,
                "message": HOSTILE,
                "serverVersion": HOSTILE,
                "pendingRestart": [HOSTILE],
                "time": HOSTILE,
            }
        )
    )
    wait = Wait(lambda _t: read, deadline=20)
    verdict = wait.run()
    outputs = node_report.report_outputs(verdict)
    told = [verdict.message, *wait.said, outputs["serverVersion"], *outputs["pendingRestart"]]
    assert "no\\x1b[2Jway; main: applied\\u202e" in verdict.message
    assert all(line.isprintable() for line in told)


def test_nor_do_keys_of_what_is_no_report() -> None:
    def unreadable(_t: float) -> Report:
        raise UnreadableError(f"ValidationError: 1 error\n{HOSTILE}\n  Extra inputs")

    wait = Wait(unreadable, deadline=20)
    verdict = wait.run()
    assert verdict.outcome == "unreadable"
    assert all(line.isprintable() for line in [verdict.message, *wait.said])


def test_failed_is_given_time_to_heal() -> None:
    failed = report(outcome="failed", message="AccessDenied", applied_serial=None)
    assert Wait(lambda t: failed if t < 100 else report()).run().outcome == "applied"
    wait = Wait(lambda _t: failed)
    verdict = wait.run()
    assert verdict.outcome == "failed"
    assert "AccessDenied" in verdict.message
    assert "it does not serve anything" in verdict.message
    assert wait.now - 1000 == pytest.approx(120, abs=2)


def test_failed_now_and_then_is_not_failed_for_long() -> None:
    failed = report(outcome="failed", message="throttled")
    applying = report(outcome="applying", message="again")
    wait = Wait(lambda t: report() if t > 400 else failed if t % 100 < 50 else applying)
    assert wait.run().outcome == "applied"


def test_unfinished_at_the_deadline_is_failed() -> None:
    verdict = Wait(lambda _t: report(outcome="applying", message="restarting"), deadline=20).run()
    assert verdict.outcome == "failed"
    assert "did not finish desired state 7 after 20 s: restarting" in verdict.message


def test_a_report_that_cannot_be_read_is_not_no_report() -> None:
    def unreadable(_seconds: float) -> Report | None:
        raise UnreadableError("AccessDenied")

    wait = Wait(unreadable, deadline=20)
    verdict = wait.run()
    assert verdict.outcome == "unreadable"
    assert "cannot be read after 20 s: AccessDenied" in verdict.message


def test_a_newer_desired_state_ends_the_wait() -> None:
    verdict = Wait(lambda _t: report(serial=8, applied_serial=8)).run()
    assert verdict.outcome == "superseded"
    assert "somebody else deployed desired state 8" in verdict.message


def test_a_long_wait_gives_signs_of_life() -> None:
    wait = Wait(lambda _t: None, deadline=61)
    wait.run()
    assert len(wait.said) == 5
    assert wait.said[-1].endswith("(60 s)")


PROPS: dict[str, Any] = {
    "region": "eu-central-1",
    "accountId": "123456789012",
    "bucket": "b",
    "key": "report.json",
    "server": "main",
    "serial": 7.0,
    "manifestSha256": "a" * 64,
    "instance": "i-1",
    "deadlineSeconds": 5,
}


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"outcome": "applied"}, {}, False),
        ({"outcome": "applied"}, {"deadlineSeconds": 60}, False),
        ({"outcome": "applied"}, {"serial": 8.0}, True),
        ({"outcome": "applied"}, {"instance": "i-2"}, True),
        ({"outcome": "applied"}, {"manifestSha256": "b" * 64}, True),
        ({"outcome": "refused"}, {}, True),
        ({"outcome": "no-report"}, {}, True),
        ({}, {}, True),
    ],
)
def test_what_is_waited_for_again(old: dict[str, Any], new: dict[str, Any], changes: bool) -> None:
    result = node_report.NodeReportProvider().diff("id", {**PROPS, **old}, {**PROPS, **new})
    assert result.changes is changes
    assert not result.replaces


def test_a_bad_outcome_is_an_error_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    assert node_report.applied_value("host", "applied", "serving") == "host"
    with pytest.raises(pulumi.RunError, match="main refused"):
        node_report.applied_value("host", "refused", "main refused it")
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    assert node_report.applied_value("host", "refused", "main refused it") == "host"


class Images:
    """An EC2 client that knows some images."""

    def __init__(self, images: list[dict[str, str]]) -> None:
        self.images = images
        self.asked: list[dict[str, Any]] = []

    def describe_images(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"Images": self.images}


ASKED: dict[str, Any] = {
    "region": "eu-central-1",
    "release": "debian-13",
    "architecture": "x86_64",
    "revision": 1.0,
}


def test_the_newest_image_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Images(
        [
            {"ImageId": "ami-2", "CreationDate": "2026-10-01T00:00:00.000Z", "Name": "debian-13-amd64-2"},
            {"ImageId": "ami-3", "CreationDate": "2026-11-01T00:00:00.000Z", "Name": "debian-13-amd64-3"},
            {"ImageId": "ami-1", "CreationDate": "2026-09-01T00:00:00.000Z", "Name": "debian-13-amd64-1"},
        ]
    )
    monkeypatch.setattr("boto3.client", lambda *_args, **_kwargs: client)
    found = pinned_image.PinnedImageProvider().create(dict(ASKED)).outs
    assert found is not None
    assert (found["imageId"], found["problem"]) == ("ami-3", "")
    assert client.asked[0]["Owners"] == ["136693071363"]
    assert {"Name": "name", "Values": ["debian-13-amd64-*"]} in client.asked[0]["Filters"]


def test_no_image_is_an_error_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boto3.client", lambda *_args, **_kwargs: Images([]))
    provider = pinned_image.PinnedImageProvider()
    found = provider.create(dict(ASKED)).outs
    assert found is not None
    with pytest.raises(pulumi.RunError, match=r"no image debian-13 for x86_64 .*selfManaged\.image\.id"):
        pinned_image.found_image(found["imageId"], found["problem"])
    assert provider.diff("id", found, dict(ASKED)).changes is True


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        ({}, False),
        ({"revision": 2.0}, True),
        ({"release": "debian-14"}, True),
        ({"architecture": "arm64"}, True),
        ({"region": "eu-west-1"}, True),
    ],
)
def test_an_image_is_kept_until_another_is_asked_for(change: dict[str, Any], changes: bool) -> None:
    old = {**ASKED, "imageId": "ami-3", "imageName": "debian-13-amd64-3", "problem": ""}
    result = pinned_image.PinnedImageProvider().diff("id", old, {**ASKED, **change})
    assert result.changes is changes
    assert not result.replaces


@pytest.mark.parametrize("provider", [node_report.NodeReportProvider, pinned_image.PinnedImageProvider])
def test_providers_travel_to_the_dynamic_provider_s_process(provider: type) -> None:
    assert type(dill.loads(dill.dumps(provider(), recurse=True))) is provider  # noqa: S301
