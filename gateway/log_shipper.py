"""Ships the gateway's log from the machine's journal to CloudWatch Logs, each line at least once.

The position in the journal is kept only after AWS has taken the lines, so whatever goes wrong the process
ends, systemd starts it again, and it goes on where AWS has everything before.
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import boto3

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
BATCH_EVENTS = 10_000
BATCH_BYTES = 1_048_576
EVENT_OVERHEAD = 26
EVENT_BYTES = 262_144 - EVENT_OVERHEAD
BATCH_SPAN_MILLISECONDS = 24 * 3600 * 1000 - 1

DELAY_SECONDS = 2.0
"""How long a line waits for others to be sent with it."""

_READ_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the log: milliseconds since 1970, its text, and its position in the journal."""

    timestamp: int
    message: str
    cursor: str

    @property
    def size(self) -> int:
        """Bytes as AWS counts them."""
        return len(self.message.encode()) + EVENT_OVERHEAD


def parsed(line: bytes) -> Entry | None:
    """An entry as journalctl writes it, `--output=json`; None where there is nothing to ship.

    Raises:
        ValueError: It is not what journalctl writes.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict) or not {"__CURSOR", "__REALTIME_TIMESTAMP"} <= fields.keys():
        raise ValueError("journalctl wrote a line without __CURSOR and __REALTIME_TIMESTAMP")
    message = fields.get("MESSAGE")
    # What is not text in UTF-8 comes as a list of its bytes.
    text = bytes(message).decode(errors="replace") if isinstance(message, list) else message or ""
    if not text.strip():
        return None
    data = text.encode()[:EVENT_BYTES]
    return Entry(
        timestamp=int(fields["__REALTIME_TIMESTAMP"]) // 1000,
        message=data.decode(errors="ignore"),
        cursor=fields["__CURSOR"],
    )


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries in groups that AWS takes, in their order."""
    batch: list[Entry] = []
    size, first, last = 0, 0, 0
    for entry in entries:
        low = min(first, entry.timestamp) if batch else entry.timestamp
        high = max(last, entry.timestamp) if batch else entry.timestamp
        too_much = len(batch) == BATCH_EVENTS or size + entry.size > BATCH_BYTES
        if batch and (too_much or high - low > BATCH_SPAN_MILLISECONDS):
            yield batch
            batch, size, low, high = [], 0, entry.timestamp, entry.timestamp
        batch.append(entry)
        size, first, last = size + entry.size, low, high
    if batch:
        yield batch


def events(batch: Sequence[Entry]) -> list[dict[str, Any]]:
    """A batch as PutLogEvents takes it: in the order of time."""
    ordered = sorted(batch, key=lambda entry: entry.timestamp)
    return [{"timestamp": entry.timestamp, "message": entry.message} for entry in ordered]


def journal_command(unit: str, cursor: str | None) -> list[str]:
    """The command that writes a unit's log from after a position on, and then what comes."""
    where = ["--boot=all"] if cursor is None else [f"--after-cursor={cursor}"]
    return ["journalctl", f"--unit={unit}", "--output=json", "--output-fields=MESSAGE", "--no-pager",
            "--no-tail", "--follow", *where]  # fmt: skip


def ship(lines: IO[bytes], send: Callable[[list[dict[str, Any]]], None], keep: Callable[[str], None]) -> None:
    """Send what a pipe brings, until it ends.

    Args:
        lines: What journalctl writes; unbuffered.
        send: Takes a batch for AWS; raises where AWS has not taken it.
        keep: Keeps the position before which AWS has everything.
    """
    rest, waiting, since = b"", [], 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(lines, selectors.EVENT_READ)
        open_ = True
        while open_ or waiting:
            patience = None if not waiting else max(0.0, since + DELAY_SECONDS - time.monotonic())
            if open_ and selector.select(patience):
                data = os.read(lines.fileno(), _READ_BYTES)
                open_ = bool(data)
                *whole, rest = (rest + data).split(b"\n")
                found = [entry for entry in map(parsed, filter(None, whole)) if entry is not None]
                since = since if waiting else time.monotonic()
                waiting += found
            due = not open_ or time.monotonic() >= since + DELAY_SECONDS
            if waiting and (due or len(waiting) >= BATCH_EVENTS):
                for batch in batches(waiting):
                    send(events(batch))
                    keep(batch[-1].cursor)
                waiting = []


def keep_in(path: Path) -> Callable[[str], None]:
    """Keeps a position in a file, whole or not at all."""

    def keep(cursor: str) -> None:
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(cursor)
        beside.replace(path)

    return keep


def sender(client: Any, group: str, stream: str) -> Callable[[list[dict[str, Any]]], None]:
    """Sends to one stream, which is made when it is not there."""
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_stream(logGroupName=group, logStreamName=stream)

    def send(batch: list[dict[str, Any]]) -> None:
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)

    return send


def main(arguments: Sequence[str] | None = None) -> int:
    """Ship until journalctl ends, which it does not by itself; the exit status."""
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
            ship(journal.stdout, send, keep_in(chosen.position))
        finally:
            journal.terminate()
    print("journalctl has ended", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
