"""The gateway's log reaches CloudWatch line by line, and a crash loses none."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from gateway import log_shipper
from gateway.log_shipper import (
    journal_command,
    journal_event,
    sender,
    ship,
)
from runtime.cloudwatch import EVENT_BYTES, LogEvent

# CloudWatch refuses what is from the future or long past.
NOW = int(time.time() * 1000) - 60_000


def line(number: int, message: Any = None) -> bytes:
    fields = {
        "__CURSOR": f"cursor {number}",
        "__REALTIME_TIMESTAMP": str((NOW + number) * 1000),
        "MESSAGE": f"line {number}" if message is None else message,
    }
    return json.dumps(fields).encode() + b"\n"


def test_a_line_of_the_journal() -> None:
    assert journal_event(line(7)) == LogEvent(timestamp=NOW + 7, message="line 7", position="cursor 7")


def test_what_is_not_text_comes_as_bytes() -> None:
    entry = journal_event(line(1, list(b"half \xff")))
    assert entry is not None
    assert entry.message == "half \ufffd"


def test_empty_lines_are_not_shipped() -> None:
    assert journal_event(line(1, " \n")) is None
    assert journal_event(line(1, [])) is None


def test_a_line_too_long_for_aws_is_cut_between_characters() -> None:
    entry = journal_event(line(1, "ä" * EVENT_BYTES))
    assert entry is not None
    assert len(entry.message.encode()) <= EVENT_BYTES
    assert set(entry.message) == {"ä"}


@pytest.mark.parametrize("text", [b"{}", b"[]", b"no json"])
def test_what_journalctl_never_writes_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        journal_event(text)


def pipe(data: bytes) -> Any:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(data)

    threading.Thread(target=write).start()
    return os.fdopen(reading, "rb", buffering=0)


def test_everything_is_sent_in_order_and_the_position_follows() -> None:
    sent: list[str] = []
    kept: list[str] = []
    with pipe(b"".join(line(number) for number in range(500))) as lines:
        ship(lines, lambda batch: sent.extend(each["message"] for each in batch), kept.append)
    assert sent == [f"line {number}" for number in range(500)]
    assert kept[-1] == "cursor 499"


def test_the_position_stays_where_aws_has_everything() -> None:
    kept: list[str] = []

    def refuse(batch: list[dict[str, Any]]) -> None:
        raise ConnectionError("no way to AWS")

    with pipe(line(1)) as lines, pytest.raises(ConnectionError):
        ship(lines, refuse, kept.append)
    assert kept == []


def test_the_journal_is_followed_from_a_position_or_from_its_beginning() -> None:
    assert "--after-cursor=s=1;i=2" in journal_command("gateway.service", "s=1;i=2")
    assert "--boot=all" in journal_command("gateway.service", None)
    assert "--follow" in journal_command("gateway.service", None)


@mock_aws
def test_from_journal_to_cloudwatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    logs = boto3.client("logs", region_name="eu-central-1")
    logs.create_log_group(logGroupName="/stack/gateway")
    (tmp_path / "instance-id").write_text("i-0123456789abcdef0\n")
    (tmp_path / "lines").write_bytes(line(1) + line(2))
    asked = tmp_path / "asked"
    program = tmp_path / "journalctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\ncat {tmp_path / "lines"}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    options = [
        "--unit=gateway.service",
        "--region=eu-central-1",
        "--log-group=/stack/gateway",
        f"--stream-file={tmp_path / 'instance-id'}",
        f"--position={tmp_path / 'position'}",
    ]
    assert log_shipper.main(options) == 1
    (tmp_path / "lines").write_bytes(line(3))
    assert log_shipper.main(options) == 1
    found = logs.get_log_events(logGroupName="/stack/gateway", logStreamName="i-0123456789abcdef0")
    assert [event.get("message") for event in found["events"]] == ["line 1", "line 2", "line 3"]
    first, second = asked.read_text().splitlines()
    assert "--boot=all" in first
    assert "--after-cursor=cursor 2" in second


@mock_aws
def test_a_log_group_that_is_not_there_ends_the_shipper(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    logs = boto3.client("logs", region_name="eu-central-1")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        sender(logs, "/none", "stream")
