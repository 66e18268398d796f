"""The server's JSON log: what it says while node watches, and its way to CloudWatch Logs.

Each line is shipped as one event, once. Files that the server no longer writes to are removed after that, and
unshipped before they fill the disk. Positions are kept per file and only after AWS has accepted the
lines, so a crash repeats a few lines and loses none. A file is known by its first line, so that one that
was truncated and filled again under the same name is read from its beginning.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from node.layout import Layout
from runtime import files
from runtime.cloudwatch import LogEvent, batches, fitting, log_events
from runtime.files import PlantedError
from runtime.instance_metadata import InstanceMetadata
from runtime.signed_requests import AwsError, SignedRequests

REPORTED_SEVERITIES = {"LOG", "ERROR", "FATAL", "PANIC"}
MAX_MESSAGES = 10
BATCHES_PER_RUN = 10
MAX_FILES = 1000
"""More log files than that are not the server's; the newest count."""
KEPT_BYTES = 4 * 1024**3
"""What closed files may hold while AWS cannot be reached; machines have a root volume of 16 GiB."""
KEPT_SECONDS = 7 * 86_400
_STRAY_LOG = re.compile(r"postgresql-[A-Z][a-z]{2}-[0-9]{6}\.log", re.ASCII)
_READ_BYTES = 4 * 1_048_576
_START_LOG_BYTES = 65_536


def mark(logs: Path) -> dict[str, int]:
    """Where the log files end now."""
    return {name: status.st_size for name, status in _log_files(logs).items()}


def messages(logs: Path, since: Mapping[str, int]) -> list[str]:
    """The server's last few messages since `since`, without those that it sent to clients."""
    found: list[str] = []
    for name, status in _log_files(logs).items():
        start = since.get(name, 0)
        try:
            with files.opened(logs / name) as file:
                file.seek(max(start if start <= status.st_size else 0, status.st_size - _READ_BYTES))
                lines = file.read(_READ_BYTES).splitlines()
        except (FileNotFoundError, PlantedError):
            continue
        entries = (_entry(line) for line in lines)
        found += [_message(entry) for entry in entries if _is_reported(entry)]
    return found[-MAX_MESSAGES:]


def start_log(path: Path) -> str:
    """The end of what a server wrote before it opened its own log; empty if it wrote nothing."""
    try:
        return files.read_end(path, _START_LOG_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _entry(line: bytes) -> dict[str, Any]:
    """A line of a JSON log; empty for one that is something else."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _is_reported(entry: Mapping[str, Any]) -> bool:
    severity, writer = entry.get("error_severity"), entry.get("backend_type")
    return isinstance(severity, str) and severity in REPORTED_SEVERITIES and writer != "client backend"


def _message(entry: Mapping[str, Any]) -> str:
    parts = (entry.get("message"), entry.get("detail"), entry.get("hint"))
    return f"{entry['error_severity']}:  " + " ".join(part for part in parts if isinstance(part, str))


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
        lines = unshipped(self.layout.logs, positions, closed(self.layout))
        for _, batch in zip(range(BATCHES_PER_RUN), batches(lines), strict=False):
            stream = stream or InstanceMetadata().instance_id()
            put_events(self.requests, self.log_group, stream, log_events(batch))
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
        logs = _log_files(self.layout.logs)
        present = {name: value for name, value in positions.items() if name in logs}
        files.replace_file(self.layout.log_positions, json.dumps(present), durable=True)


def put_events(requests: SignedRequests, log_group: str, stream: str, events: list[dict[str, Any]]) -> None:
    """Add events to a stream, which is made if it does not exist.

    Raises:
        FailedError: AWS refuses or cannot be reached.
    """
    names = {"logGroupName": log_group, "logStreamName": stream}
    request = {**names, "logEvents": events}
    try:
        requests.call("logs", "Logs_20140328.PutLogEvents", request)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        requests.call("logs", "Logs_20140328.CreateLogStream", names)
        requests.call("logs", "Logs_20140328.PutLogEvents", request)


def shipped_positions(layout: Layout) -> dict[str, Any]:
    """Per file what has been shipped: `offset` in bytes, `inode`, and `first`, the first line's digest."""
    return files.read_json_object(layout.log_positions) or {}


def has_unshipped_lines(layout: Layout) -> bool:
    """Whether any log file has grown or been replaced since the last shipment; cheap enough for every run."""
    positions = shipped_positions(layout)
    return any(not _is_shipped(name, status, positions) for name, status in _log_files(layout.logs).items())


def closed(layout: Layout) -> dict[str, os.stat_result]:
    """The JSON logs that the server no longer writes to, the oldest first; none while it is not known."""
    found = _log_files(layout.logs)
    current = found.get(_written_now(layout))
    if current is None:
        return {}
    # Between a rotation and the server's word on it, the newest file is another one.
    return {
        name: status
        for name, status in found.items()
        if status.st_ino != current.st_ino and status.st_mtime_ns <= current.st_mtime_ns
    }


def _written_now(layout: Layout) -> str:
    """Name of the JSON log that the server writes to, by its own word; empty without one."""
    for major in layout.initialised_majors():
        try:
            text = files.read_file(layout.data(major) / "current_logfiles", most=_START_LOG_BYTES).decode()
        except (FileNotFoundError, PlantedError, ValueError):
            continue
        for line in text.splitlines():
            kind, _, path = line.partition(" ")
            if kind == "jsonlog":
                return Path(path).name
    return ""


def remove_closed(layout: Layout) -> None:
    """Remove closed files that were shipped, that are older than a week, or that would fill the disk."""
    positions, found = shipped_positions(layout), closed(layout)
    held = sum(status.st_size for status in found.values())
    oldest = time.time() - KEPT_SECONDS
    for name, status in found.items():
        shipped = _is_shipped(name, status, positions)
        if shipped or held > KEPT_BYTES or status.st_mtime < oldest:
            if not shipped:
                print(f"node: {layout.logs / name} is removed before it was shipped", file=sys.stderr)
            files.remove_file(layout.logs / name)
            held -= status.st_size
    if found:
        _remove_stray(layout.logs, oldest)


def _remove_stray(logs: Path, oldest: float) -> None:
    """Beside each JSON log the server opens one for what libraries write, which mostly stays empty."""
    stray = {
        name: status
        for name, status in files.regular_files(logs, ".log").items()
        if _STRAY_LOG.fullmatch(name)
    }
    for name in sorted(stray, key=lambda name: stray[name].st_mtime_ns)[:-1]:
        if stray[name].st_size == 0 or stray[name].st_mtime < oldest:
            files.remove_file(logs / name)


def unshipped(
    logs: Path, positions: Mapping[str, Any], closed: Container[str] = ()
) -> Iterator[LogEvent[LinePosition]]:
    """The complete lines after `positions`, file by file, the oldest file first.

    Nothing will complete the last line of a closed file. A line of more than 4 MiB, which the server does not
    write, is taken in pieces of that size.
    """
    for name, status in _log_files(logs).items():
        if _is_shipped(name, status, positions):
            continue
        try:
            with files.opened(logs / name) as file:
                known = positions.get(name, {})
                yield from _lines_after(file, name, status.st_ino, known, closed=name in closed)
        except (FileNotFoundError, PlantedError):
            # It is another file by now, and the next run looks again.
            continue


def _lines_after(
    file: BinaryIO, name: str, inode: int, known: Mapping[str, Any], *, closed: bool
) -> Iterator[LogEvent[LinePosition]]:
    first = hashlib.sha256(file.readline(_READ_BYTES)).hexdigest()
    offset = known.get("offset", 0) if known.get("first") == first else 0
    file.seek(offset)
    while line := file.readline(_READ_BYTES):
        if not line.endswith(b"\n") and len(line) < _READ_BYTES and not closed:
            return
        offset += len(line)
        text = line.decode(errors="replace").rstrip("\n")
        yield LogEvent(
            timestamp=_timestamp(line),
            message=fitting(text) or " ",
            position=LinePosition(file=name, first=first, offset=offset, inode=inode),
        )


def _log_files(logs: Path) -> dict[str, os.stat_result]:
    """The JSON logs, the oldest first. The folder is the server's own, so there may be anything in it."""
    try:
        found = files.regular_files(logs, ".json")
    except FileNotFoundError:
        return {}
    newest = sorted(found, key=lambda name: found[name].st_mtime_ns)[-MAX_FILES:]
    return {name: found[name] for name in newest if found[name].st_nlink == 1}


def _is_shipped(name: str, status: os.stat_result, positions: Mapping[str, Any]) -> bool:
    known = positions.get(name, {})
    return (known.get("offset"), known.get("inode")) == (status.st_size, status.st_ino)


def _timestamp(line: bytes) -> int:
    """Milliseconds since 1970 of a jsonlog line; now, if it has no time in UTC since then."""
    try:
        written = _entry(line)["timestamp"]
        moment = datetime.datetime.strptime(written, "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=datetime.UTC)
    except (ValueError, KeyError, TypeError):
        moment = datetime.datetime.now(datetime.UTC)
    # AWS takes no negative one, and would refuse the whole batch.
    return max(0, int(moment.timestamp() * 1000))
