"""The engine's events as progress, counts and errors."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from engine.events import Account, EventLog, Resource, plain
from engine.progress import Step

URN = "urn:pulumi:sandbox::project::passwordless-postgres:index:Network$aws:ec2/vpc:Vpc::network"


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def account(output: io.StringIO) -> Account:
    return Account(step=Step(Console(file=output, highlight=False, soft_wrap=True), "deployment"))


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


def test_progress_counts_what_is_done_and_tells_what_is_waited_for(account: Account) -> None:
    other = URN.replace("::network", "::other")
    account.take({"resourcePreEvent": {"metadata": {"op": "create", "urn": URN}}})
    account.take({"resourcePreEvent": {"metadata": {"op": "update", "urn": other}}})
    assert account.step.detail == "0 resources done, creating Vpc network"
    account.take({"resOutputsEvent": {"metadata": {"op": "create", "urn": URN}}})
    assert account.step.detail == "1 resources done, updating Vpc other"


@pytest.mark.parametrize(
    ("changes", "unchanged", "summary"),
    [
        ({"same": 84}, True, "unchanged, 84 resources"),
        ({"create": 3, "same": 81}, False, "3 created, 81 unchanged"),
        ({"update": 1, "delete": 2, "replace": 1}, False, "1 updated, 1 replaced, 2 deleted"),
    ],
)
def test_the_summary_says_what_changed(account, changes, unchanged: bool, summary: str) -> None:
    account.take({"summaryEvent": {"resourceChanges": changes}})
    assert (account.unchanged, account.summary()) == (unchanged, summary)


def test_errors_lose_what_only_says_that_there_were_errors(account: Account) -> None:
    account.take(diagnostic("error", "node refused: line 3 of pg_hba.conf\n"))
    account.take(
        diagnostic("error", "an unhandled error occurred: program exited with non-zero exit code: 1")
    )
    account.take(diagnostic("error", "update failed"))
    assert account.causes() == ["node refused: line 3 of pg_hba.conf"]


def test_an_error_without_a_cause_is_not_lost(account: Account) -> None:
    account.take(diagnostic("error", "update failed"))
    assert account.causes() == ["update failed"]


def test_an_error_of_a_resource_names_it(account: Account) -> None:
    account.take(diagnostic("error", "<{%reset%}>no such zone<{%reset%}>\n", URN))
    assert account.causes() == ["network (Vpc): no such zone"]


def test_messages_are_shown_once_and_debugging_never(account: Account, output: io.StringIO) -> None:
    account.take(diagnostic("info#err", "waiting for report\n\n"))
    account.take(diagnostic("info#err", "waiting for report\n\n"))
    account.take(diagnostic("warning", "old"))
    account.take(diagnostic("debug", "registering resource"))
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
