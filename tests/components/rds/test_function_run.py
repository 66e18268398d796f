from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import boto3
import pulumi
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody
from pulumi import dynamic

from components.rds.function_run import FunctionRunProvider, NoAnswer, applied_value, run_function, verdict
from components.self_managed.node_report import NodeReportProvider
from tests.recording_monitor import record

PROPS: dict[str, Any] = {
    "region": "eu-central-1",
    "function": "main-roles-function-1",
    "server": "main",
    "logGroup": "/log",
    "artifactSha256": "8" * 64,
    "resourceId": "db-1",
    "configuration": '{"host": "db"}',
    "event": '{"schemaVersion": 2}',
}


def answer(**said: Any) -> dict[str, Any]:
    document = {"schemaVersion": 2, "outcome": "applied", "message": "as declared", "steps": 3, **said}
    return {"FunctionError": None, "Payload": json.dumps(document).encode()}


class Lambda:
    """boto3's client; `answers` come one after the other, exceptions are raised."""

    def __init__(self, *answers: Any, states: Sequence[dict[str, Any]] = ()) -> None:
        self.answers, self.asked, self.options = list(answers), [], {}
        self.states = list(states)

    def client(self, service: str, **options: Any) -> Lambda:
        assert service == "lambda"
        self.options = options
        return self

    def invoke(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        body = StreamingBody(io.BytesIO(found["Payload"]), len(found["Payload"]))
        return {
            **({"FunctionError": found["FunctionError"]} if found["FunctionError"] else {}),
            "Payload": body,
        }

    def get_function_configuration(self, **request: Any) -> dict[str, Any]:
        assert request == {"FunctionName": PROPS["function"]}
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def refused(code: str) -> ClientError:
    words = "Lambda is initializing your function. It will be ready to invoke shortly."
    return ClientError({"Error": {"Code": code, "Message": words}}, "Invoke")


ACTIVE = {"State": "Active", "LastUpdateStatus": "Successful"}
PENDING = {
    "State": "Pending",
    "StateReason": "The function is being created.",
    "LastUpdateStatus": "Successful",
}


TIMED_OUT = b'{"errorMessage": "Task timed out after 300.00 seconds", "errorType": "Sandbox.Timedout"}'


@pytest.mark.parametrize(
    ("said", "outcome", "message"),
    [
        (answer(), "applied", "as declared"),
        (
            answer(outcome="refused"),
            "refused",
            "main: its roles function refused: as declared (its log is in /log)",
        ),
        (
            answer(outcome="failed"),
            "failed",
            "main: its roles function failed: as declared (its log is in /log)",
        ),
        (answer(schemaVersion=1), "failed", "main: its roles function answers something else"),
        (answer(outcome="other"), "failed", "main: its roles function answers something else"),
        ({"Payload": b"null"}, "failed", "main: its roles function answers something else: None"),
        ({"Payload": b"<html>"}, "failed", "main: its roles function answers something else: None"),
        (
            {"FunctionError": "Unhandled", "Payload": TIMED_OUT},
            "failed",
            "main: its roles function broke down: Sandbox.Timedout: Task timed out after 300.00 seconds (its",
        ),
        ({"FunctionError": "Unhandled", "Payload": b""}, "failed", "broke down: Unhandled: no message"),
    ],
)
def test_what_an_answer_means(said: dict[str, Any], outcome: str, message: str) -> None:
    found = verdict("main", "/log", said)
    assert found.outcome == outcome
    assert message in found.message


@pytest.mark.parametrize(
    "said",
    [
        answer(outcome="refused", message="no\x1b[2J\nmain: as declared"),
        answer(outcome="applied", message="as declared\u202e"),
        {"FunctionError": "Unhandled", "Payload": json.dumps({"errorMessage": "\x9b2J\r\n"}).encode()},
    ],
)
def test_a_function_s_words_stay_on_their_line(said: dict[str, Any]) -> None:
    found = run_function("main", "/log", invoke=lambda: said, clock=lambda: 0.0, say=lambda line: None)
    assert found.message.isprintable()


def test_whoever_waits_sees_that_it_goes_on() -> None:
    lines: list[str] = []
    shown = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            shown.set()

    def invoke() -> dict[str, Any]:
        assert shown.wait(30)
        return answer()

    found = run_function(
        "main", "/log", invoke=invoke, clock=lambda: 7.0 * len(lines), say=say, sign_of_life_seconds=0.01
    )
    assert found.outcome == "applied"
    assert lines[0] == "main: its roles function is at work"
    assert lines[1] == "main: its roles function is at work (0 s)"
    assert lines[2] == "main: its roles function is at work (7 s)"


def test_a_function_that_did_not_run_is_no_traceback() -> None:
    def invoke() -> dict[str, Any]:
        raise NoAnswer("AccessDenied")

    found = run_function("main", "/log", invoke=invoke, clock=lambda: 0.0, say=lambda _: None)
    assert (found.outcome, found.message) == (
        "no-answer",
        "main: its roles function did not run: AccessDenied",
    )


def test_a_run_asks_lambda_once_and_waits_longer_than_the_function_may_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Lambda(answer(), ReadTimeoutError(endpoint_url="https://lambda"))
    monkeypatch.setattr(boto3, "client", fake.client)
    provider = FunctionRunProvider()
    made = provider.create(PROPS)
    assert made.id == "main-roles-function-1/main"
    assert made.outs == {**PROPS, "outcome": "applied", "message": "as declared"}
    assert fake.asked == [{"FunctionName": "main-roles-function-1", "Payload": b'{"schemaVersion": 2}'}]
    assert fake.options["region_name"] == "eu-central-1"
    assert fake.options["config"].read_timeout > 300
    assert fake.options["config"].retries["total_max_attempts"] == 1
    assert "main: its roles function is at work" in capsys.readouterr().err
    changed = provider.update(made.id, made.outs or {}, PROPS)
    assert (changed.outs or {})["outcome"] == "no-answer"
    assert len(fake.asked) == 2


@pytest.mark.parametrize(
    ("answers", "states", "left"),
    [
        ([refused("CodeArtifactUserPendingException")], [{"State": "Inactive"}, PENDING, PENDING], 1),
        ([refused("ResourceNotReadyException")], [PENDING], 1),
        ([refused("ResourceConflictException")], [{**ACTIVE, "LastUpdateStatus": "InProgress"}], 1),
        # It is not everywhere active at the same moment.
        ([refused("ResourceConflictException")] * 3, [PENDING], 1),
    ],
)
def test_a_function_that_slept_is_awaited_and_called_again(
    monkeypatch: pytest.MonkeyPatch, answers: list[Any], states: list[dict[str, Any]], left: int
) -> None:
    fake = Lambda(*answers, answer(), states=[*states, ACTIVE])
    monkeypatch.setattr(boto3, "client", fake.client)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    made = FunctionRunProvider().create(PROPS)
    assert (made.outs or {})["message"] == "as declared"
    assert (len(fake.answers), len(fake.states)) == (0, left)


@pytest.mark.parametrize(
    ("error", "states", "message"),
    [
        (
            refused("CodeArtifactUserPendingException"),
            [PENDING, {"State": "Failed", "StateReason": "The subnet is gone."}],
            "Lambda says Failed: The subnet is gone.",
        ),
        (
            refused("ResourceNotReadyException"),
            [{"State": "Inactive", "StateReason": "No IP."}],
            "in 600 s it did not become active; Lambda says Inactive: No IP.",
        ),
        (
            refused("AccessDeniedException"),
            [],
            str(refused("AccessDeniedException")),
        ),
    ],
)
def test_a_function_that_does_not_wake_is_said(
    monkeypatch: pytest.MonkeyPatch, error: ClientError, states: list[dict[str, Any]], message: str
) -> None:
    fake = Lambda(error, states=states)
    ticks = count(0, 100)
    monkeypatch.setattr(boto3, "client", fake.client)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    made = FunctionRunProvider().create(PROPS)
    said = f"main: its roles function did not run: {message}"
    assert ((made.outs or {})["outcome"], (made.outs or {})["message"]) == ("no-answer", said)
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    ("provider", "section"), [(FunctionRunProvider(), "rds"), (NodeReportProvider(), "selfManaged")]
)
@pytest.mark.parametrize(("before", "after"), [(17, 18), (17.0, 16), (15, 18)])
def test_another_major_release_is_refused_by_the_preview(
    provider: dynamic.ResourceProvider, section: str, before: float, after: int
) -> None:
    (failure,) = provider.check({"major": before}, {"major": after}).failures
    assert failure.property == "major"
    assert failure.reason.startswith(
        f"{section}.major is {after}, and the server was deployed with {before:.0f}"
    )
    for olds in ({"major": after}, {}):
        kept = provider.check(olds, {"major": after})
        assert (kept.inputs, kept.failures) == ({"major": after}, [])


def test_a_run_from_before_the_major_was_an_input_knows_it_by_its_configuration() -> None:
    before = {"configuration": '{"major": 17}'}
    assert FunctionRunProvider().check(before, {"major": 18}).failures
    assert not FunctionRunProvider().check(before, {"major": 17}).failures


def test_it_is_run_again_until_it_is_content() -> None:
    provider = FunctionRunProvider()
    content = {**PROPS, "outcome": "applied", "message": "as declared"}
    assert not provider.diff("id", content, PROPS).changes
    for outcome in ("refused", "failed", "no-answer", None):
        assert provider.diff("id", {**content, "outcome": outcome}, PROPS).changes
    for key in PROPS:
        assert provider.diff("id", content, {**PROPS, key: "other"}).changes, key


def test_a_run_from_before_there_was_a_configuration_is_run_again_in_place() -> None:
    before = {**PROPS, "outcome": "applied", "message": "as declared"}
    del before["configuration"]
    found = FunctionRunProvider().diff("id", before, PROPS)
    assert found.changes
    assert not found.replaces


def test_a_bad_outcome_ends_the_program_with_the_function_s_words() -> None:
    assert applied_value("host", "applied", "as declared") == "host"

    def refused() -> None:
        applied_value("host", "refused", "main refused: words")

    with pytest.raises(pulumi.RunError, match="main refused: words"):
        record(refused)
    record(refused, preview=True)
