"""Each line of the server's log is shipped once, in batches."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from node import server_log
from node.layout import Layout
from node.server_log import LogShipper, has_unshipped_lines, remove_closed, shipped_positions, unshipped
from runtime.cloudwatch import EVENT_BYTES, batches
from runtime.errors import FailedError
from runtime.signed_requests import Credentials, SignedRequests

REGION = "eu-central-1"
NOW = time.time()


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


@pytest.fixture
def rotated(layout: Layout) -> Layout:
    """A machine whose server wrote two files, the last line of the older one by half, and is at a third."""
    for age, name, text in (
        (200, "Mon-100000", line("one")),
        (100, "Mon-110000", line("two") + '{"half'),
        (0, "Mon-120000", line("three") + '{"half'),
    ):
        for kind, content in (("json", text), ("log", "")):
            path = layout.logs / f"postgresql-{name}.{kind}"
            path.write_text(content)
            os.utime(path, (NOW - age, NOW - age))
    data = layout.data(17)
    data.mkdir(parents=True)
    (data / "PG_VERSION").touch()
    (data / "current_logfiles").write_text(f"jsonlog {layout.logs}/postgresql-Mon-120000.json\n")
    return layout


def names(layout: Layout, kind: str = "*") -> list[str]:
    return sorted(path.name.removeprefix("postgresql-") for path in layout.logs.glob(f"*.{kind}"))


def test_files_that_the_server_has_left_go_once_they_are_shipped(
    rotated: Layout, group: tuple[Any, str]
) -> None:
    remove_closed(rotated)
    assert names(rotated, "json") == ["Mon-100000.json", "Mon-110000.json", "Mon-120000.json"]
    assert ship(rotated, group) == 4
    remove_closed(rotated)
    assert names(rotated) == ["Mon-120000.json", "Mon-120000.log"]


def test_what_cannot_be_shipped_does_not_fill_the_disk(
    rotated: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (rotated.logs / "postgresql-Mon-110000.json").stat().st_size
    monkeypatch.setattr(server_log, "KEPT_BYTES", size)
    remove_closed(rotated)
    assert names(rotated, "json") == [
        "Mon-110000.json",
        "Mon-120000.json",
    ]
    assert "postgresql-Mon-100000.json is removed before it was shipped" in capsys.readouterr().err


def test_a_week_after_the_last_line_a_file_goes(rotated: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_log.time, "time", lambda: NOW - 150 + server_log.KEPT_SECONDS)
    remove_closed(rotated)
    assert "Mon-100000.json" not in names(rotated)
    assert "Mon-110000.json" in names(rotated)


@pytest.mark.parametrize(
    "said", [None, "", "stderr x.log\n", "jsonlog /gone/away.json\n", "jsonlog\n", b"\xff jsonlog"]
)
def test_without_the_servers_word_nothing_is_removed(
    said: str | bytes | None, rotated: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = rotated.data(17) / "current_logfiles"
    word.unlink()
    if said is not None:
        word.write_bytes(said if isinstance(said, bytes) else said.encode())
    monkeypatch.setattr(server_log, "KEPT_BYTES", 0)
    before = names(rotated)
    remove_closed(rotated)
    assert names(rotated) == before


def test_a_file_that_the_server_has_just_begun_stays(
    rotated: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its word still names the one before."""
    new = rotated.logs / "postgresql-Mon-130000.json"
    new.touch()
    os.utime(new, (NOW + 1, NOW + 1))
    monkeypatch.setattr(server_log, "KEPT_BYTES", 0)
    remove_closed(rotated)
    assert names(rotated, "json") == [
        "Mon-120000.json",
        "Mon-130000.json",
    ]


def test_what_a_library_wrote_stays_for_a_week(rotated: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    stray, start = rotated.logs / "postgresql-Mon-100000.log", rotated.logs / "postgresql-17-main.log"
    for path in (stray, start):
        path.write_text("out of memory\n")
        os.utime(path, (NOW - 200, NOW - 200))
    remove_closed(rotated)
    assert stray.exists()
    monkeypatch.setattr(server_log.time, "time", lambda: NOW - 150 + server_log.KEPT_SECONDS)
    remove_closed(rotated)
    assert not stray.exists()
    assert start.exists()


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
