"""Schedules at the level of the protocol: what AWS refuses, and that they call functions."""

from __future__ import annotations

import queue
from functools import partial
from typing import Any

import pytest

from emulator.lambda_.api import SERVICE, answer
from emulator.scheduler import schedule
from tests.emulator.aws.test_lambda_functions import FUNCTION, good, role

SCHEDULE = "aws:scheduler/schedule:Schedule"
SCHEDULER = "scheduler.amazonaws.com"
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:task"
SECONDS = 60


def inputs(target: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "often",
        "scheduleExpression": "rate(5 minutes)",
        "flexibleTimeWindow": {"mode": "OFF"},
        "target": target,
        **changes,
    }


def test_a_schedule_calls_its_function_with_the_permissions_of_its_role(engine, monkeypatch) -> None:
    monkeypatch.setattr(schedule, "SECONDS_PER_MINUTE", 0.02)
    engine.endpoint.serve(SERVICE, partial(answer, engine.functions))
    _, made, _ = engine.create(FUNCTION, "task", good(engine))
    events: queue.Queue[bytes] = queue.Queue()
    ran, warned = engine.functions.invoke, queue.Queue[str]()

    def invoke(name: str, event: bytes) -> Any:
        events.put(event)
        return ran(name, event)

    monkeypatch.setattr(engine.functions, "invoke", invoke)
    monkeypatch.setattr(schedule._log, "warning", lambda text, *values: warned.put(text % values))
    without = inputs({"arn": made["arn"], "roleArn": role(engine, "without", SCHEDULER), "input": "[0]"})
    made_id, outputs, checked = engine.create(SCHEDULE, "often", without)
    assert made_id == "default/often"
    assert outputs["arn"] == "arn:aws:scheduler:eu-central-1:123456789012:schedule/default/often"
    assert "is not authorized to perform: lambda:InvokeFunction" in warned.get(timeout=SECONDS)
    assert events.empty()
    allowed = role(engine, "allowed", SCHEDULER, "lambda:InvokeFunction")
    other = {**checked, "target": {"arn": made["arn"], "roleArn": allowed, "input": "[1]"}}
    engine.update(SCHEDULE, "often", made_id, checked, outputs, other)
    assert events.get(timeout=SECONDS) == b"[1]"


def test_a_role_that_the_scheduler_cannot_assume_is_refused(engine) -> None:
    target = {"arn": ARN, "roleArn": role(engine)}
    words = engine.refused(lambda: engine.create(SCHEDULE, "often", inputs(target)))
    assert "The execution role you provide must allow AWS EventBridge Scheduler to assume the role." in words


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"scheduleExpression": "rate(0 minutes)"}, "scheduleExpression"),
        ({"scheduleExpression": "rate(5 seconds)"}, "scheduleExpression"),
        ({"scheduleExpression": "5 minutes"}, "scheduleExpression"),
        ({"name": "a/b"}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"flexibleTimeWindow": {"mode": "NONE"}}, "flexibleTimeWindow"),
        ({"state": "PAUSED"}, "state"),
    ],
)
def test_the_provider_refuses_before_anything_is_made(engine, changes, name) -> None:
    _, failures = engine.check(SCHEDULE, "often", inputs({"arn": ARN, "roleArn": ARN}, **changes))
    assert list(failures) == [name]
