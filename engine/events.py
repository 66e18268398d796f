"""What the engine reports while it works: its event log, read as it grows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.progress import Step

# What follows the program's own error and says nothing more.
ECHOES = (
    "an unhandled error occurred: program exited with non-zero exit code",
    "update failed",
    "preview failed",
)
QUIET_OPERATIONS = ("same", "read", "refresh")
VERBS = {
    "create": "creating",
    "update": "updating",
    "delete": "deleting",
    "replace": "replacing",
    "create-replacement": "replacing",
    "delete-replaced": "deleting the replaced",
    "same": "checking",
}
RESULTS = (
    ("create", "created"),
    ("update", "updated"),
    ("replace", "replaced"),
    ("delete", "deleted"),
    ("same", "unchanged"),
)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as people name it."""

    type: str
    name: str

    @classmethod
    def of(cls, urn: str) -> Resource:
        """The resource with an URN: `urn:pulumi:stack::project::parent$type::name`."""
        parts = urn.split("::", 3)
        kind = parts[2].rpartition("$")[2] if len(parts) == 4 else ""
        # `aws:s3/bucket:Bucket` and `passwordless-postgres:index:Network` both end in what matters.
        return cls(type=kind.rpartition(":")[2], name=parts[-1])


@dataclass(kw_only=True)
class Account:
    """What a run of the engine has come to so far."""

    step: Step
    errors: list[str] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)
    finished: int = 0
    _under_way: dict[str, str] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event, and show it."""
        if "resourcePreEvent" in event:
            self._begin(event["resourcePreEvent"]["metadata"])
        elif "resOutputsEvent" in event:
            self._end(event["resOutputsEvent"]["metadata"])
        elif "resOpFailedEvent" in event:
            self._end(event["resOpFailedEvent"]["metadata"])
        elif "diagnosticEvent" in event:
            self._diagnose(event["diagnosticEvent"])
        elif "summaryEvent" in event:
            self.changes = dict(event["summaryEvent"].get("resourceChanges") or {})

    @property
    def unchanged(self) -> bool:
        """Whether the run changed no resource."""
        return all(operation in QUIET_OPERATIONS for operation, count in self.changes.items() if count)

    def summary(self) -> str:
        """The changes in words: `unchanged, 84 resources` or `3 created, 81 unchanged`."""
        if self.unchanged:
            return f"unchanged, {self.changes.get('same', 0)} resources"
        counts = [f"{self.changes[key]} {word}" for key, word in RESULTS if self.changes.get(key)]
        return ", ".join(counts)

    def causes(self) -> list[str]:
        """The errors without those that only say that there were errors."""
        return self.own_errors() or self.errors

    def own_errors(self) -> list[str]:
        """The errors that say what is wrong; none where the engine only says that it gives up."""
        return [error for error in self.errors if not any(echo in error for echo in ECHOES)]

    def _begin(self, metadata: Mapping[str, Any]) -> None:
        resource = Resource.of(metadata["urn"])
        verb = VERBS.get(metadata["op"], metadata["op"])
        self._under_way[metadata["urn"]] = f"{verb} {resource.type} {resource.name}"
        self._show()

    def _end(self, metadata: Mapping[str, Any]) -> None:
        self._under_way.pop(metadata["urn"], None)
        self.finished += 1
        self._show()

    def _show(self) -> None:
        # What was begun first is what is being waited for.
        current = next((text for text in self._under_way.values() if "Stack" not in text), "")
        self.step.detail = f"{self.finished} resources done" + (f", {current}" if current else "")

    def _diagnose(self, event: Mapping[str, Any]) -> None:
        message = plain(event.get("message", ""))
        severity = event.get("severity", "")
        if not message or severity == "debug":
            return
        urn = event.get("urn", "")
        resource = Resource.of(urn) if urn else None
        if resource is not None and resource.type != "Stack":
            message = f"{resource.name} ({resource.type}): {message}"
        if severity == "error":
            self.errors.append(message)
        elif message not in self._said:
            self._said.add(message)
            self.step.say(f"warning: {message}" if severity == "warning" else f"  {message}")


def plain(text: str) -> str:
    """Text without the engine's colour marks and without space around it."""
    return re.sub(r"<\{%.*?%\}>", "", text).strip()


class EventLog:
    """The engine's event log, one JSON document per line, read from where the last reading ended."""

    def __init__(self, path: Path) -> None:
        """Read `path`, which the engine makes when it starts."""
        self._path = path
        self._position = 0

    def read(self) -> Iterator[Mapping[str, Any]]:
        """The events that have come since the last call; a line that is not yet whole waits."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._position)
                for line in log:
                    if not line.endswith(b"\n"):
                        return
                    self._position += len(line)
                    yield json.loads(line)
        except FileNotFoundError:
            return
