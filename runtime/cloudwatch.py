"""What CloudWatch Logs accepts in one call of PutLogEvents, and the lines of which it makes metrics.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

METRIC_NAMESPACE = "PasswordlessPostgres"

BATCH_BYTES = 1_048_576
BATCH_EVENTS = 10_000
EVENT_OVERHEAD = 26
EVENT_BYTES = 262_144 - EVENT_OVERHEAD
BATCH_SPAN_MILLISECONDS = 24 * 3600 * 1000 - 1

Position = TypeVar("Position")


@dataclass(frozen=True, kw_only=True)
class LogEvent(Generic[Position]):
    """One line of a log.

    Attributes:
        timestamp: milliseconds since 1970.
        message: the line, as `fitting` returns it.
        position: where its source goes on after it, in the source's own terms.
    """

    timestamp: int
    message: str
    position: Position

    @property
    def size(self) -> int:
        """Bytes as AWS counts them."""
        return len(self.message.encode()) + EVENT_OVERHEAD


def fitting(text: str) -> str:
    """The beginning of a text that fits into one event, cut between characters."""
    data = text.encode()
    return text if len(data) <= EVENT_BYTES else data[:EVENT_BYTES].decode(errors="ignore")


def batches(events: Iterable[LogEvent[Position]]) -> Iterator[list[LogEvent[Position]]]:
    """Events in the same order, in batches that AWS accepts."""
    batch: list[LogEvent[Position]] = []
    size = earliest = latest = 0
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


def log_events(batch: Sequence[LogEvent[Any]]) -> list[dict[str, Any]]:
    """The `logEvents` of the call: in the order of time, which AWS demands."""
    ordered = sorted(batch, key=lambda event: event.timestamp)
    return [{"timestamp": event.timestamp, "message": event.message} for event in ordered]


def metrics_line(
    dimension: tuple[str, str],
    values: Mapping[str, tuple[float, str]],
    now: float,
    further: Mapping[str, Any] | None = None,
) -> str:
    """A line of a log in the embedded metric format, of which CloudWatch Logs makes metrics by itself.

    Args:
        dimension: name and value of the one dimension.
        values: value and unit of each metric, by its name.
        now: seconds since 1970.
        further: what else the line says.
    """
    metrics = [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()]
    directive = {"Namespace": METRIC_NAMESPACE, "Dimensions": [[dimension[0]]], "Metrics": metrics}
    return json.dumps(
        {
            "event": "metrics",
            "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]},
            dimension[0]: dimension[1],
            **{name: value for name, (value, _) in values.items()},
            **(further or {}),
        }
    )
