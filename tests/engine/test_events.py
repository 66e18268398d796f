"""The engine's events as progress, counts and errors."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from engine.events import EventLog, Resource, RunState, plain
from engine.progress import Step

URN = "urn:pulumi:sandbox::project::passwordless-postgres:index:Network$aws:ec2/vpc:Vpc::network"


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def state(output: io.StringIO) -> RunState:
    return RunState(step=Step(Console(file=output, highlight=False, soft_wrap=True), "deployment"))


def diagnostic(severity: str, message: str, urn: str = "") -> dict[str, object]:
    return {"diagnosticEvent": {"severity": severity, "message": message, "urn": urn}}


@pytest.mark.parametrize(
    ("urn", "resource"),
    [
        (URN, Resource(type="Vpc", name="network")),
        ("urn:pulumi:s::p::pulumi:pulumi:Stack::p-s", Resource(type="Stack", name="p-s")),
        ("urn:pulumi:s::p::a:b/c:D::name::with::colons", Resource(type="D", name="name::with::colons")),
    ],
)
def test_resources_have_names_for_people(urn: str, resource: Resource) -> None:
    assert Resource.of(urn) == resource


def test_progress_counts_what_is_done_and_tells_what_is_waited_for(state: RunState) -> None:
    other = URN.replace("::network", "::other")
    state.handle({"resourcePreEvent": {"metadata": {"op": "create", "urn": URN}}})
    state.handle({"resourcePreEvent": {"metadata": {"op": "update", "urn": other}}})
    assert state.step.detail == "0 resources done, creating Vpc network"
    state.handle({"resOutputsEvent": {"metadata": {"op": "create", "urn": URN}}})
    assert state.step.detail == "1 resources done, updating Vpc other"


@pytest.mark.parametrize(
    ("changes", "unchanged", "summary"),
    [
        ({"same": 84}, True, "unchanged, 84 resources"),
        ({"create": 3, "same": 81}, False, "3 created, 81 unchanged"),
        ({"update": 1, "delete": 2, "replace": 1}, False, "1 updated, 1 replaced, 2 deleted"),
    ],
)
def test_the_summary_says_what_changed(state, changes, unchanged: bool, summary: str) -> None:
    state.handle({"summaryEvent": {"resourceChanges": changes}})
    assert (state.unchanged, state.summary()) == (unchanged, summary)


def test_errors_lose_what_only_says_that_there_were_errors(state: RunState) -> None:
    state.handle(diagnostic("error", "node refused: line 3 of pg_hba.conf\n"))
    state.handle(
        diagnostic("error", "an unhandled error occurred: program exited with non-zero exit code: 1")
    )
    state.handle(diagnostic("error", "update failed"))
    assert state.causes() == ["node refused: line 3 of pg_hba.conf"]


def test_an_error_without_a_cause_is_not_lost(state: RunState) -> None:
    state.handle(diagnostic("error", "update failed"))
    assert state.causes() == ["update failed"]


def test_an_error_of_a_resource_names_it(state: RunState) -> None:
    state.handle(diagnostic("error", "<{%reset%}>no such zone<{%reset%}>\n", URN))
    assert state.causes() == ["network (Vpc): no such zone"]


def test_messages_are_shown_once_and_debugging_never(state: RunState, output: io.StringIO) -> None:
    state.handle(diagnostic("info#err", "waiting for report\n\n"))
    state.handle(diagnostic("info#err", "waiting for report\n\n"))
    state.handle(diagnostic("warning", "old"))
    state.handle(diagnostic("debug", "registering resource"))
    assert output.getvalue() == "  waiting for report\nwarning: old\n"


def test_colour_marks_are_removed() -> None:
    assert plain("<{%fg 1%}>error<{%reset%}>: <b> stays ") == "error: <b> stays"


def test_the_log_is_read_as_it_grows_and_never_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "events"
    log = EventLog(path)
    assert list(log.read()) == []
    path.write_text(json.dumps({"sequence": 1}) + '\n{"sequ')
    assert list(log.read()) == [{"sequence": 1}]
    with path.open("a") as file:
        file.write('ence": 2}\n')
    assert list(log.read()) == [{"sequence": 2}]
    assert list(log.read()) == []
