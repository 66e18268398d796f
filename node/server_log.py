"""The server's JSON log on disk: what it said since a moment, for error texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

TELLING = {"LOG", "ERROR", "FATAL", "PANIC"}
MOST_MESSAGES = 10


def mark(logs: Path) -> dict[str, int]:
    """Where the log files end now."""
    return {path.name: path.stat().st_size for path in logs.glob("*.json")}


def messages(logs: Path, since: Mapping[str, int]) -> list[str]:
    """What the server itself said since `since`, without what it said to clients; the last few messages."""
    found: list[str] = []
    for path in sorted(logs.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
        start = since.get(path.name, 0)
        with path.open("rb") as file:
            file.seek(start if start <= path.stat().st_size else 0)
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if entry.get("error_severity") in TELLING and entry.get("backend_type") != "client backend":
                    parts = (entry.get("message"), entry.get("detail"), entry.get("hint"))
                    found.append(f"{entry['error_severity']}:  " + " ".join(filter(None, parts)))
    return found[-MOST_MESSAGES:]
