"""How far each log file has been shipped; cheap to ask on every run."""

from __future__ import annotations

import json
from typing import Any

from node import files
from node.layout import Layout


def load(layout: Layout) -> dict[str, Any]:
    """Position per file name: `offset` in bytes, `inode`, and `first`, the digest of the first line."""
    return files.read_json(layout.log_positions) or {}


def save(layout: Layout, positions: dict[str, Any]) -> None:
    """Keep the positions, without those of files that are gone."""
    present = {name: value for name, value in positions.items() if (layout.logs / name).exists()}
    files.write(layout.log_positions, json.dumps(present).encode())


def behind(layout: Layout) -> bool:
    """Whether any log file has grown or been replaced since."""
    positions = load(layout)
    for path in layout.logs.glob("*.json"):
        status, known = path.stat(), positions.get(path.name, {})
        if (known.get("offset"), known.get("inode")) != (status.st_size, status.st_ino):
            return True
    return False
