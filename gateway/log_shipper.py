"""Ships the gateway's log from the machine's journal to CloudWatch Logs, each line at least once.

The position in the journal is kept only after AWS has accepted the lines. On any error the process ends,
systemd starts it again, and it continues after the last accepted line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import boto3

from runtime.cloudwatch import BATCH_EVENTS, LogEvent, batches, fitting, log_events
from runtime.files import replace_file

DELAY_SECONDS = 2.0
"""How long a line waits for others to be sent with it."""

_READ_BYTES = 65_536


def journal_event(line: bytes) -> LogEvent[str] | None:
    """The event of a line of `journalctl --output=json`, with its cursor; None for an empty message.

    Raises:
        ValueError: journalctl does not write such a line.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict) or not {"__CURSOR", "__REALTIME_TIMESTAMP"} <= fields.keys():
        raise ValueError("journalctl wrote a line without __CURSOR and __REALTIME_TIMESTAMP")
    message = fields.get("MESSAGE")
    # journalctl gives a message that is not UTF-8 as a list of its bytes.
    text = bytes(message).decode(errors="replace") if isinstance(message, list) else message or ""
    if not text.strip():
        return None
    return LogEvent(
        timestamp=int(fields["__REALTIME_TIMESTAMP"]) // 1000,
        message=fitting(text),
        position=fields["__CURSOR"],
    )


def journal_command(unit: str, cursor: str | None) -> list[str]:
    """The command that prints a unit's log after a position and then follows it."""
    where = ["--boot=all"] if cursor is None else [f"--after-cursor={cursor}"]
    return ["journalctl", f"--unit={unit}", "--output=json", "--output-fields=MESSAGE", "--no-pager",
            "--no-tail", "--follow", *where]  # fmt: skip


def ship(lines: IO[bytes], send: Callable[[list[dict[str, Any]]], None], keep: Callable[[str], None]) -> None:
    """Send what a pipe carries until it ends.

    Args:
        lines: what journalctl writes; unbuffered.
        send: sends a batch; raises if AWS has not accepted it.
        keep: keeps the position up to which AWS has everything.
    """
    rest, since = b"", 0.0
    waiting: list[LogEvent[str]] = []
    with selectors.DefaultSelector() as selector:
        selector.register(lines, selectors.EVENT_READ)
        open_ = True
        while open_ or waiting:
            timeout = None if not waiting else max(0.0, since + DELAY_SECONDS - time.monotonic())
            if open_ and selector.select(timeout):
                data = os.read(lines.fileno(), _READ_BYTES)
                open_ = bool(data)
                *whole, rest = (rest + data).split(b"\n")
                found = [event for event in map(journal_event, filter(None, whole)) if event is not None]
                since = since if waiting else time.monotonic()
                waiting += found
            due = not open_ or time.monotonic() >= since + DELAY_SECONDS
            if waiting and (due or len(waiting) >= BATCH_EVENTS):
                for batch in batches(waiting):
                    send(log_events(batch))
                    keep(batch[-1].position)
                waiting = []


def sender(client: Any, group: str, stream: str) -> Callable[[list[dict[str, Any]]], None]:
    """A function that sends batches to one stream, which is made if it does not exist."""
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_stream(logGroupName=group, logStreamName=stream)

    def send(batch: list[dict[str, Any]]) -> None:
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)

    return send


def main(arguments: Sequence[str] | None = None) -> int:
    """Ship until journalctl ends, which it never does by itself; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m gateway.log_shipper", description=__doc__)
    parser.add_argument("--unit", required=True, help="the systemd unit whose log it is")
    parser.add_argument("--region", required=True)
    parser.add_argument("--log-group", required=True)
    parser.add_argument("--stream-file", type=Path, required=True, help="file that holds the stream's name")
    parser.add_argument("--position", type=Path, required=True, help="file that keeps the position")
    chosen = parser.parse_args(arguments)
    stream = chosen.stream_file.read_text().strip()
    send = sender(boto3.client("logs", region_name=chosen.region), chosen.log_group, stream)
    cursor = chosen.position.read_text() if chosen.position.exists() else None
    with subprocess.Popen(journal_command(chosen.unit, cursor), stdout=subprocess.PIPE, bufsize=0) as journal:
        assert journal.stdout is not None  # noqa: S101 - it was asked for
        try:
            ship(journal.stdout, send, lambda cursor: replace_file(chosen.position, cursor))
        finally:
            journal.terminate()
    print("journalctl has ended", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
