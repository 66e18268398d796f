"""Each line of the server's log is shipped once, in batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from node.layout import Layout
from node.server_log import LogShipper, has_unshipped_lines, shipped_positions, unshipped
from runtime.cloudwatch import EVENT_BYTES, batches
from runtime.errors import FailedError
from runtime.signed_requests import Credentials, SignedRequests

REGION = "eu-central-1"


def line(message: str, second: int = 0) -> str:
    return json.dumps({"timestamp": f"2026-11-23 10:00:{second:02}.125 UTC", "message": message}) + "\n"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.logs.mkdir(parents=True)
    made.home.mkdir(parents=True)
    return made


@pytest.fixture
def group(environment: None, request: pytest.FixtureRequest) -> tuple[Any, str]:
    client: Any = boto3.client("logs", region_name=REGION)
    name = f"/test/{request.node.name}"
    client.create_log_group(logGroupName=name)
    return client, name


def shipped(group: tuple[Any, str]) -> list[str]:
    client, name = group
    events = client.get_log_events(
        logGroupName=name, logStreamName="i-0123456789abcdef0", startFromHead=True
    )["events"]
    return [json.loads(event["message"])["message"] for event in events]


def ship(layout: Layout, group: tuple[Any, str]) -> int:
    requests = SignedRequests(region=REGION, credentials=Credentials.find())
    return LogShipper(layout=layout, requests=requests, log_group=group[1]).ship()


def test_each_line_goes_once_also_across_rotation(layout: Layout, group: tuple[Any, str]) -> None:
    log = layout.logs / "postgresql-Mon.json"
    log.write_text(line("one") + line("two", 1) + '{"timestamp": "half')
    assert ship(layout, group) == 2
    assert ship(layout, group) == 0
    log.write_text(line("one") + line("two", 1) + line("three", 2))
    (layout.logs / "postgresql-Tue.json").write_text(line("four", 3))
    assert ship(layout, group) == 2
    assert not has_unshipped_lines(layout)
    # A week later the file is truncated and grows past the old position.
    log.write_text("".join(line(f"again {number}", 10 + number) for number in range(5)))
    assert has_unshipped_lines(layout)
    assert ship(layout, group) == 5
    assert shipped(group) == ["one", "two", "three", "four", *(f"again {number}" for number in range(5))]


def test_positions_of_removed_files_are_forgotten(layout: Layout, group: tuple[Any, str]) -> None:
    (layout.logs / "a.json").write_text(line("one"))
    ship(layout, group)
    (layout.logs / "a.json").unlink()
    (layout.logs / "b.json").write_text(line("two"))
    ship(layout, group)
    assert list(shipped_positions(layout)) == ["b.json"]


def test_what_aws_refuses_is_sent_again(
    layout: Layout, group: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (layout.logs / "a.json").write_text(line("one"))
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(FailedError):
            ship(layout, group)
    assert ship(layout, group) == 1


def test_a_line_too_long_for_aws_is_cut(layout: Layout) -> None:
    (layout.logs / "a.json").write_text(line("x" * 400_000))
    (event,) = unshipped(layout.logs, {})
    assert len(event.message.encode()) <= EVENT_BYTES


def test_lines_of_days_apart_are_not_of_one_batch(layout: Layout) -> None:
    (layout.logs / "a.json").write_text(line("old").replace("11-23", "11-20") + line("new"))
    assert [len(batch) for batch in batches(unshipped(layout.logs, {}))] == [1, 1]
