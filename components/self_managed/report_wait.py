"""Wait for a machine's report about its desired state. Pure: clock and storage are arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from components.report_wait import Sight, UnreadableError, wait
from documents.shown_text import shown
from node.desired_state import Report

Outcome = Literal["applied", "refused", "failed", "superseded", "no-report", "unreadable"]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The report to wait for."""

    server: str
    serial: int
    manifest_sha256: str
    instance: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the wait ended: outcome, message, and the last report about this desired state."""

    outcome: Outcome
    message: str
    report: Report | None = None


@dataclass(frozen=True, kw_only=True)
class _Seen(Sight):
    verdict: Verdict | None
    ours: Report | None
    unreadable: str | None


def still_serving(report: Report) -> str:
    """What a server that has not applied its desired state serves instead."""
    if report.applied_serial is None:
        return "it does not serve anything"
    return f"it goes on serving desired state {report.applied_serial}"


def wait_for_report(
    expected: Expected,
    *,
    deadline_seconds: float,
    fetch: Callable[[], Report | None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
) -> Verdict:
    """Wait for the machine's final report about a desired state, or for the deadline.

    Args:
        expected: Which server, desired state and instance.
        deadline_seconds: How long to wait.
        fetch: The machine's newest report, None while there is none; raises `UnreadableError`.
        clock: Seconds of a monotonic clock.
        sleep: Waits so many seconds.
        say: Shows one line of progress.
    """

    def look() -> _Seen:
        report, unreadable = None, None
        try:
            report = fetch()
        except UnreadableError as error:
            # It may name keys that the machine chose.
            unreadable = shown(str(error))
        ours = report if is_about(expected, report) else None
        verdict = final_verdict(expected, report)
        return _Seen(
            progress=progress(expected, ours, unreadable),
            final=verdict is not None,
            failing=ours is not None and ours.outcome == "failed",
            verdict=verdict,
            ours=ours,
            unreadable=unreadable,
        )

    seen, seconds = wait(look, deadline_seconds=deadline_seconds, clock=clock, sleep=sleep, say=say)
    return seen.verdict or verdict_at_the_end(expected, seen.ours, seen.unreadable, seconds)


def is_about(expected: Expected, report: Report | None) -> bool:
    """Whether a report is about the expected desired state and from the expected instance."""
    return (
        report is not None
        and report.serial == expected.serial
        and report.manifest_sha256 == expected.manifest_sha256
        and report.instance == expected.instance
    )


def final_verdict(expected: Expected, report: Report | None) -> Verdict | None:
    """The verdict of a report that ends the wait; None where the wait goes on."""
    if report is None:
        return None
    if report.instance == expected.instance and report.serial > expected.serial:
        return Verdict(
            outcome="superseded",
            message=(
                f"{expected.server}: somebody else deployed desired state {report.serial} while "
                f"{expected.serial} was waited for; run 'pulumi up' again"
            ),
            report=report,
        )
    if not is_about(expected, report):
        return None
    if report.outcome == "applied":
        return Verdict(outcome="applied", message=report.message, report=report)
    if report.outcome == "refused":
        return Verdict(
            outcome="refused",
            message=(
                f"{expected.server} refused desired state {expected.serial}: {report.message} "
                f"({still_serving(report)})"
            ),
            report=report,
        )
    return None


def verdict_at_the_end(
    expected: Expected, ours: Report | None, unreadable: str | None, seconds: float
) -> Verdict:
    """The verdict where no report ended the wait before its deadline."""
    waited = f"after {seconds:.0f} s"
    if ours is not None:
        doing = "failed on" if ours.outcome == "failed" else "did not finish"
        return Verdict(
            outcome="failed",
            message=(
                f"{expected.server} {doing} desired state {expected.serial} {waited}: {ours.message} "
                f"({still_serving(ours)}; it goes on trying)"
            ),
            report=ours,
        )
    if unreadable is not None:
        return Verdict(
            outcome="unreadable",
            message=(
                f"{expected.server}: the report on desired state {expected.serial} cannot be read {waited}: "
                f"{unreadable}"
            ),
        )
    return Verdict(
        outcome="no-report",
        message=(
            f"{expected.server}: no report on desired state {expected.serial} from instance "
            f"{expected.instance} {waited}; look at the instance's console output, at its way out to AWS and "
            "Debian's archive, and for the unit passwordless-postgres-node in its journal"
        ),
    )


def progress(expected: Expected, ours: Report | None, unreadable: str | None) -> str:
    """One line on what is being waited for."""
    if ours is not None:
        return f"{expected.server}: {ours.outcome}: {ours.message}"
    if unreadable is not None:
        return f"{expected.server}: the report cannot be read: {unreadable}"
    return (
        f"{expected.server}: waiting for instance {expected.instance} to report on desired state "
        f"{expected.serial}"
    )
