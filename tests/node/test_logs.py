"""Which lines are shipped, in which batches, and that each goes once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from node import logs as shipping
from node.layout import Layout
from node.log_positions import behind, load
from node.logs import LogShipper, batches, unshipped
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
    assert not behind(layout)
    # A week later the file is truncated and grows past the old position.
    log.write_text("".join(line(f"again {number}", 10 + number) for number in range(5)))
    assert behind(layout)
    assert ship(layout, group) == 5
    assert shipped(group) == ["one", "two", "three", "four", *(f"again {number}" for number in range(5))]


def test_positions_of_removed_files_are_forgotten(layout: Layout, group: tuple[Any, str]) -> None:
    (layout.logs / "a.json").write_text(line("one"))
    ship(layout, group)
    (layout.logs / "a.json").unlink()
    (layout.logs / "b.json").write_text(line("two"))
    ship(layout, group)
    assert list(load(layout)) == ["b.json"]


def test_what_aws_refuses_is_sent_again(
    layout: Layout, group: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (layout.logs / "a.json").write_text(line("one"))
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(FailedError):
            ship(layout, group)
    assert ship(layout, group) == 1


def test_batches_stay_within_the_limits(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "BATCH_EVENTS", 3)
    log = layout.logs / "a.json"
    log.write_text("".join(line(str(number)) for number in range(7)))
    assert [len(batch) for batch in batches(unshipped(layout.logs, {}))] == [3, 3, 1]
    monkeypatch.setattr(shipping, "BATCH_EVENTS", 10_000)
    log.write_text("".join(line("x" * 200_000) for _ in range(12)))
    sizes = [sum(event.size for event in batch) for batch in batches(unshipped(layout.logs, {}))]
    assert len(sizes) == 3
    assert max(sizes) <= shipping.BATCH_BYTES
    log.write_text(line("x" * 400_000))
    (event,) = unshipped(layout.logs, {})
    assert len(event.message.encode()) <= shipping.EVENT_BYTES
    log.write_text(line("old").replace("11-23", "11-20") + line("new"))
    assert [len(batch) for batch in batches(unshipped(layout.logs, {}))] == [1, 1]
