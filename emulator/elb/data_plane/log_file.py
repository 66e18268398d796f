"""A load balancer's log on disk: a line per event, the file before it kept."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

_BYTES = 5_000_000


class LogFile:
    """One log. Safe for concurrent use.

    Args:
        path: Made with mode 0600 when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Adds a line."""
        with self._lock:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > _BYTES:
                self._path.rename(self._path.with_suffix(".log.1"))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "w") as log:
                log.write(line.rstrip("\n") + "\n")


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def quoted(text: str) -> str:
    """Between double quotes; what could end the field or the line is escaped."""
    escaped = "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}"
        for character in text.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{escaped}"'
