"""A load balancer's log on disk: a line per event, the file before it kept."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from emulator.core.child_processes import open_log


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
            with open_log(self._path) as log:
                log.write(line.rstrip("\n").encode() + b"\n")


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
