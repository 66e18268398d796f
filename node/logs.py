"""Ships the server's JSON log to CloudWatch Logs, one event per line, each line once.

Positions are kept per file and only after AWS has accepted the lines, so a crash repeats a few lines
and loses none. A file is known by its first line, so that one that was truncated and filled again
under the same name is read from its beginning.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node import log_positions
from node.layout import Layout
from runtime.instance_metadata import InstanceMetadata
from runtime.signed_requests import AwsError, SignedRequests

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
BATCH_BYTES = 1_048_576
BATCH_EVENTS = 10_000
EVENT_OVERHEAD = 26
EVENT_BYTES = 262_144 - EVENT_OVERHEAD
BATCH_SPAN_MILLISECONDS = 24 * 3600 * 1000 - 1
BATCHES_PER_RUN = 10
_READ_BYTES = 4 * 1_048_576


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line, and where its file goes on after it."""

    timestamp: int
    message: str
    file: str
    position: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes as AWS counts them."""
        return len(self.message.encode()) + EVENT_OVERHEAD


@dataclass(frozen=True, kw_only=True)
class LogShipper:
    """Ships to the stream of this instance in one log group."""

    layout: Layout
    requests: SignedRequests
    log_group: str

    def ship(self) -> int:
        """Send what is new, up to a few batches; the number of events.

        Raises:
            FailedError: AWS refuses or cannot be reached; the same lines are sent again later.
        """
        positions = log_positions.load(self.layout)
        sent = 0
        stream: str | None = None
        for _, batch in zip(
            range(BATCHES_PER_RUN), batches(unshipped(self.layout.logs, positions)), strict=False
        ):
            stream = stream or InstanceMetadata().instance_id()
            self._put(stream, batch)
            for event in batch:
                positions[event.file] = event.position
            log_positions.save(self.layout, positions)
            sent += len(batch)
        return sent

    def _put(self, stream: str, batch: list[Event]) -> None:
        names = {"logGroupName": self.log_group, "logStreamName": stream}
        ordered = sorted(batch, key=lambda event: event.timestamp)
        events = [{"timestamp": event.timestamp, "message": event.message} for event in ordered]
        try:
            self.requests.call("logs", "Logs_20140328.PutLogEvents", {**names, "logEvents": events})
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            self.requests.call("logs", "Logs_20140328.CreateLogStream", names)
            self.requests.call("logs", "Logs_20140328.PutLogEvents", {**names, "logEvents": events})


def unshipped(logs: Path, positions: dict[str, Any]) -> Iterator[Event]:
    """The complete lines after `positions`, file by file, the oldest file first."""
    for path in sorted(logs.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
        known = positions.get(path.name, {})
        if known.get("offset") == path.stat().st_size and known.get("inode") == path.stat().st_ino:
            continue
        with path.open("rb") as file:
            first = hashlib.sha256(file.readline(_READ_BYTES)).hexdigest()
            offset = known.get("offset", 0) if known.get("first") == first else 0
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                text = line.decode(errors="replace").rstrip("\n")
                yield Event(
                    timestamp=_timestamp(text),
                    message=_limited(text) or " ",
                    file=path.name,
                    position={"first": first, "offset": offset, "inode": path.stat().st_ino},
                )


def batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    """Events in the same order, in batches that AWS accepts."""
    batch: list[Event] = []
    size = 0
    earliest = latest = 0
    for event in events:
        low, high = min(earliest, event.timestamp), max(latest, event.timestamp)
        full = len(batch) == BATCH_EVENTS or size + event.size > BATCH_BYTES
        if batch and (full or high - low > BATCH_SPAN_MILLISECONDS):
            yield batch
            batch, size = [], 0
        if not batch:
            low = high = event.timestamp
        earliest, latest = low, high
        batch.append(event)
        size += event.size
    if batch:
        yield batch


def _limited(text: str) -> str:
    data = text.encode()
    return text if len(data) <= EVENT_BYTES else data[:EVENT_BYTES].decode(errors="ignore")


def _timestamp(text: str) -> int:
    """Milliseconds since 1970 of a jsonlog line; now, if it has no time in UTC."""
    try:
        written = json.loads(text)["timestamp"]
        moment = datetime.datetime.strptime(written, "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=datetime.UTC)
    except (ValueError, KeyError, TypeError):
        moment = datetime.datetime.now(datetime.UTC)
    return int(moment.timestamp() * 1000)
