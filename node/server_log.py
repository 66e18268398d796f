"""The server's JSON log: what it says while node watches, and its way to CloudWatch Logs.

Each line is shipped as one event, once. Positions are kept per file and only after AWS has accepted the
lines, so a crash repeats a few lines and loses none. A file is known by its first line, so that one that
was truncated and filled again under the same name is read from its beginning.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.layout import Layout
from runtime import files
from runtime.cloudwatch import LogEvent, batches, fitting, log_events
from runtime.instance_metadata import InstanceMetadata
from runtime.signed_requests import AwsError, SignedRequests

REPORTED_SEVERITIES = {"LOG", "ERROR", "FATAL", "PANIC"}
MAX_MESSAGES = 10
BATCHES_PER_RUN = 10
_READ_BYTES = 4 * 1_048_576


def mark(logs: Path) -> dict[str, int]:
    """Where the log files end now."""
    return {path.name: path.stat().st_size for path in logs.glob("*.json")}


def messages(logs: Path, since: Mapping[str, int]) -> list[str]:
    """The server's last few messages since `since`, without those that it sent to clients."""
    found: list[str] = []
    for path in _oldest_first(logs):
        start = since.get(path.name, 0)
        with path.open("rb") as file:
            file.seek(start if start <= path.stat().st_size else 0)
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                severity = entry.get("error_severity")
                if severity in REPORTED_SEVERITIES and entry.get("backend_type") != "client backend":
                    parts = (entry.get("message"), entry.get("detail"), entry.get("hint"))
                    found.append(f"{severity}:  " + " ".join(filter(None, parts)))
    return found[-MAX_MESSAGES:]


@dataclass(frozen=True, kw_only=True)
class LinePosition:
    """Where a log file goes on after a line.

    Attributes:
        file: its name.
        first: digest of its first line.
        offset: in bytes.
        inode: of the file.
    """

    file: str
    first: str
    offset: int
    inode: int


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
        positions = shipped_positions(self.layout)
        sent = 0
        stream: str | None = None
        for _, batch in zip(
            range(BATCHES_PER_RUN), batches(unshipped(self.layout.logs, positions)), strict=False
        ):
            stream = stream or InstanceMetadata().instance_id()
            self._put(stream, batch)
            for event in batch:
                position = event.position
                positions[position.file] = {
                    "first": position.first,
                    "offset": position.offset,
                    "inode": position.inode,
                }
            self._keep(positions)
            sent += len(batch)
        return sent

    def _keep(self, positions: dict[str, Any]) -> None:
        present = {name: value for name, value in positions.items() if (self.layout.logs / name).exists()}
        files.replace_file(self.layout.log_positions, json.dumps(present), durable=True)

    def _put(self, stream: str, batch: list[LogEvent[LinePosition]]) -> None:
        names = {"logGroupName": self.log_group, "logStreamName": stream}
        request = {**names, "logEvents": log_events(batch)}
        try:
            self.requests.call("logs", "Logs_20140328.PutLogEvents", request)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            self.requests.call("logs", "Logs_20140328.CreateLogStream", names)
            self.requests.call("logs", "Logs_20140328.PutLogEvents", request)


def shipped_positions(layout: Layout) -> dict[str, Any]:
    """Per file what has been shipped: `offset` in bytes, `inode`, and `first`, the first line's digest."""
    return files.read_json_object(layout.log_positions) or {}


def has_unshipped_lines(layout: Layout) -> bool:
    """Whether any log file has grown or been replaced since the last shipment; cheap enough for every run."""
    positions = shipped_positions(layout)
    return any(not _is_shipped(path, positions) for path in layout.logs.glob("*.json"))


def unshipped(logs: Path, positions: Mapping[str, Any]) -> Iterator[LogEvent[LinePosition]]:
    """The complete lines after `positions`, file by file, the oldest file first."""
    for path in _oldest_first(logs):
        if _is_shipped(path, positions):
            continue
        known = positions.get(path.name, {})
        with path.open("rb") as file:
            first = hashlib.sha256(file.readline(_READ_BYTES)).hexdigest()
            offset = known.get("offset", 0) if known.get("first") == first else 0
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                text = line.decode(errors="replace").rstrip("\n")
                yield LogEvent(
                    timestamp=_timestamp(text),
                    message=fitting(text) or " ",
                    position=LinePosition(
                        file=path.name, first=first, offset=offset, inode=path.stat().st_ino
                    ),
                )


def _oldest_first(logs: Path) -> list[Path]:
    return sorted(logs.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)


def _is_shipped(path: Path, positions: Mapping[str, Any]) -> bool:
    known, status = positions.get(path.name, {}), path.stat()
    return (known.get("offset"), known.get("inode")) == (status.st_size, status.st_ino)


def _timestamp(text: str) -> int:
    """Milliseconds since 1970 of a jsonlog line; now, if it has no time in UTC."""
    try:
        written = json.loads(text)["timestamp"]
        moment = datetime.datetime.strptime(written, "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=datetime.UTC)
    except (ValueError, KeyError, TypeError):
        moment = datetime.datetime.now(datetime.UTC)
    return int(moment.timestamp() * 1000)
