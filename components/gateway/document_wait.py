"""Wait until every instance of a gateway serves a document. Pure: clock and AWS are arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from components.report_wait import Sight, UnreadableError, wait
from documents.shown_text import shown
from gateway.report import Report

Outcome = Literal["applied", "refused", "superseded", "failed", "unreadable"]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The document to wait for, and the gateway's name for messages."""

    gateway: str
    serial: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The group: how many instances it shall have, and the ids of those that are in service."""

    desired: int
    in_service: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the wait ended."""

    outcome: Outcome
    message: str


@dataclass(frozen=True, kw_only=True)
class _Seen(Sight):
    verdict: Verdict | None = None
    unreadable: bool = False


def wait_for_document(
    expected: Expected,
    *,
    deadline_seconds: float,
    fleet: Callable[[], Fleet],
    report: Callable[[str], Report | None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
) -> Verdict:
    """Wait until all instances in service serve the document, one refuses it, or the deadline.

    Instances that are being replaced count as long as they are in service, since they are asked by
    clients. New ones are in service only once they have a document. A group that shall have no instance has
    nothing to wait for.

    Args:
        expected: Which gateway and document.
        deadline_seconds: How long to wait.
        fleet: The group as it is now; raises `UnreadableError`.
        report: An instance's newest report, None while there is none; raises `UnreadableError`.
        clock: Seconds of a monotonic clock.
        sleep: Waits so many seconds.
        say: Shows one line of progress.
    """

    def look() -> _Seen:
        try:
            group = fleet()
            return _seen(expected, group, {each: report(each) for each in sorted(group.in_service)})
        except UnreadableError as error:
            line = f"{expected.gateway}: the group or its reports cannot be read: {shown(str(error))}"
            return _Seen(progress=line, unreadable=True)

    seen, seconds = wait(look, deadline_seconds=deadline_seconds, clock=clock, sleep=sleep, say=say)
    return seen.verdict or Verdict(
        outcome="unreadable" if seen.unreadable else "failed",
        message=f"{seen.progress} after {seconds:.0f} s; look at the log group of the gateway",
    )


def _seen(expected: Expected, group: Fleet, reports: Mapping[str, Report | None]) -> _Seen:
    lacking = {each: report for each, report in reports.items() if not _serves(report, expected)}
    others = "; ".join(_words(instance, report) for instance, report in lacking.items())
    count = f"{len(reports) - len(lacking)} of {len(reports)} instances"
    line = f"{expected.gateway}: document {expected.serial} is served by {count}"
    # First: an instance that serves a newer document also refuses ours, once it has seen it.
    if any(report and (report.serial or 0) > expected.serial for report in reports.values()):
        message = (
            f"{expected.gateway}: somebody else wrote a newer document than {expected.serial}: {others}; run "
            "'pulumi up' again. A document that was written by hand goes when the instances are replaced: "
            "start an instance refresh of the group"
        )
        return _Seen(progress=line, final=True, verdict=Verdict(outcome="superseded", message=message))
    if any(report and report.refused_sha256 == expected.sha256 for report in reports.values()):
        message = f"{expected.gateway} refuses document {expected.serial}: {others}"
        return _Seen(progress=line, final=True, verdict=Verdict(outcome="refused", message=message))
    if (reports or group.desired == 0) and not others:
        return _Seen(progress=line, final=True, verdict=Verdict(outcome="applied", message=line))
    return _Seen(
        progress=f"{line}; {others}" if others else f"{line}; {group.desired} are to come",
        failing=any(report and report.problem for report in lacking.values()),
    )


def _serves(report: Report | None, expected: Expected) -> bool:
    return report is not None and (report.serial, report.sha256) == (expected.serial, expected.sha256)


def compared(expected: Expected, instance: str, report: Report | None) -> str:
    """What an instance says that it serves, and whether that is what is expected."""
    if not _serves(report, expected):
        return f"{_words(instance, report)}; NOT the deployed {expected.serial}"
    problem = f": {report.problem}" if report and report.problem else ""
    return f"serves document {expected.serial}, as deployed{problem}"


def _words(instance: str, report: Report | None) -> str:
    if report is None:
        return f"{instance} has not reported"
    serves = "no document yet" if report.serial is None else f"document {report.serial}"
    digest = f" (SHA-256 {report.sha256[:12]}…)" if report.sha256 else ""
    return f"{instance} serves {serves}{digest}" + (f": {report.problem}" if report.problem else "")
