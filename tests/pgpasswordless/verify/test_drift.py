"""What the machine says had drifted is read from its own stream of the server's log group."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from node.published_metrics import DRIFT_FOUND
from pgpasswordless.aws import Aws
from pgpasswordless.verify.drift import METRIC, drift_notes

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"
SINCE = "2026-01-01T00:00:00+00:00"
ITEM = {"what": "pg_hba.conf was changed", "since": SINCE, "state": "repaired", "why": ""}


@pytest.fixture
def put(boto: Callable[[str], Any], tmp_path: Path) -> Callable[[str, Any], str]:
    """Puts a line into a stream of a log group of the test's own and returns the group's name."""
    logs = boto("logs")
    name = f"/test/{tmp_path.name}"
    logs.create_log_group(logGroupName=name)
    for stream in ("i-1", "i-1/node"):
        logs.create_log_stream(logGroupName=name, logStreamName=stream)

    def line(stream: str, drift: Any) -> str:
        message = json.dumps({METRIC: 1, "drift": drift})
        event = {"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": message}
        logs.put_log_events(logGroupName=name, logStreamName=stream, logEvents=[event])
        return name

    return line


def test_the_metric_is_the_machine_s() -> None:
    assert METRIC == DRIFT_FOUND


def test_what_drifted_is_noted_and_the_server_s_own_words_are_not(
    put: Callable[[str, Any], str], environment: dict[str, str]
) -> None:
    put("i-1/node", [ITEM, ITEM | {"what": "roles", "state": "failed", "why": "it\nis locked"}])
    group = put("i-1", [ITEM | {"what": "forged"}])
    where = "drift on the machine of database 'main'"
    assert drift_notes(Aws(environment), ARN, "main", group) == (
        f"{where}, repaired, since {SINCE}: pg_hba.conf was changed",
        f"{where}, failed, since {SINCE}: roles (it; is locked)",
    )


def test_a_silent_machine_and_a_log_that_cannot_be_read_are_noted(
    put: Callable[[str, Any], str], environment: dict[str, str]
) -> None:
    group = put("i-1", [])
    (silent,) = drift_notes(Aws(environment), ARN, "main", group)
    assert "has not said for 10 minutes" in silent
    (unknown,) = drift_notes(Aws(environment), ARN, "main", f"{group}-none")
    assert "is not known: " in unknown
