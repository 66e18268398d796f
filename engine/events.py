"""The engine's event log, read while the engine writes it, and what the events add up to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.progress import Step

# Errors that only repeat that there was an error.
REPEATED_ERRORS = (
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
    """Type and name of a resource, short enough to be shown."""

    type: str
    name: str

    @classmethod
    def of(cls, urn: str) -> Resource:
        """The resource of an URN such as `urn:pulumi:stack::project::parent$type::name`."""
        parts = urn.split("::", 3)
        kind = parts[2].rpartition("$")[2] if len(parts) == 4 else ""
        # The last part is enough: `aws:s3/bucket:Bucket`, `passwordless-postgres:index:Network`.
        return cls(type=kind.rpartition(":")[2], name=parts[-1])


@dataclass(kw_only=True)
class RunState:
    """What the events of one run of the engine add up to so far."""

    step: Step
    errors: list[str] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)
    finished: int = 0
    _in_progress: dict[str, str] = field(default_factory=dict)
    _printed: set[str] = field(default_factory=set)

    def handle(self, event: Mapping[str, Any]) -> None:
        """Add one event, and show it as progress."""
        if "resourcePreEvent" in event:
            self._begin(event["resourcePreEvent"]["metadata"])
        elif ended := event.get("resOutputsEvent") or event.get("resOpFailedEvent"):
            self._end(ended["metadata"])
        elif "diagnosticEvent" in event:
            self._diagnose(event["diagnosticEvent"])
        elif "summaryEvent" in event:
            self.changes = dict(event["summaryEvent"].get("resourceChanges") or {})

    @property
    def unchanged(self) -> bool:
        """Whether the run changed no resource."""
        return all(operation in QUIET_OPERATIONS for operation, count in self.changes.items() if count)

    def summary(self) -> str:
        """The changes as text: `unchanged, 84 resources` or `3 created, 81 unchanged`."""
        if self.unchanged:
            return f"unchanged, {self.changes.get('same', 0)} resources"
        counts = [f"{self.changes[key]} {word}" for key, word in RESULTS if self.changes.get(key)]
        return ", ".join(counts)

    def causes(self) -> list[str]:
        """The errors that name a cause; all errors when none does."""
        return self.own_errors() or self.errors

    def own_errors(self) -> list[str]:
        """The errors except those that only repeat that there was an error."""
        return [error for error in self.errors if not any(text in error for text in REPEATED_ERRORS)]

    def _begin(self, metadata: Mapping[str, Any]) -> None:
        resource = Resource.of(metadata["urn"])
        verb = VERBS.get(metadata["op"], metadata["op"])
        self._in_progress[metadata["urn"]] = f"{verb} {resource.type} {resource.name}"
        self._show()

    def _end(self, metadata: Mapping[str, Any]) -> None:
        self._in_progress.pop(metadata["urn"], None)
        self.finished += 1
        self._show()

    def _show(self) -> None:
        # The operation that was begun first is the one that the engine waits for.
        current = next((text for text in self._in_progress.values() if "Stack" not in text), "")
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
        elif message not in self._printed:
            self._printed.add(message)
            self.step.say(f"warning: {message}" if severity == "warning" else f"  {message}")


def plain(text: str) -> str:
    """Text without the engine's colour tags and surrounding white space."""
    return re.sub(r"<\{%.*?%\}>", "", text).strip()


class EventLog:
    """The engine's event log, one JSON document per line."""

    def __init__(self, path: Path) -> None:
        """Read `path`, which need not exist yet."""
        self._path = path
        self._position = 0

    def read(self) -> Iterator[Mapping[str, Any]]:
        """The events since the last call; an incomplete line is left for the next one."""
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
