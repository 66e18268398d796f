"""What the aws stand-in knows of its resources, on disk, so that a killed sandbox adopts what it had begun.

A resource is written down before it is brought about. As long as the engine has not shown that it knows the
id (by asking for a difference, reading, updating or deleting), a second creation with the same URN takes over
what is there: that is what a kill between our write and the engine's leaves behind. Once the engine knows it,
a second creation is a replacement and gets ids of its own.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    type TEXT NOT NULL, id TEXT NOT NULL, urn TEXT NOT NULL, generation INTEGER NOT NULL,
    confirmed INTEGER NOT NULL, inputs TEXT NOT NULL, outputs TEXT NOT NULL, PRIMARY KEY (type, id)
) STRICT;
CREATE INDEX IF NOT EXISTS resources_by_urn ON resources (urn);
CREATE TABLE IF NOT EXISTS generations (urn TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One resource.

    Attributes:
        type: Type token.
        id: Physical id.
        urn: Who owns it.
        generation: How many resources the URN had before it.
        confirmed: Whether the engine has shown that it knows the id.
        inputs: As in the program.
        outputs: As the engine has them; empty while it is being brought about.
    """

    type: str
    id: str
    urn: str
    generation: int
    confirmed: bool
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def holds(self, value: str) -> bool:
        """Whether an input is, or contains, a text such as another resource's id."""
        return _holds(self.inputs, value)


def _holds(container: Any, value: str) -> bool:
    if isinstance(container, Mapping):
        return any(_holds(item, value) for item in container.values())
    if isinstance(container, list | tuple):
        return any(_holds(item, value) for item in container)
    return container == value


class Registry:
    """The resources of one sandbox. Safe for concurrent use; hold `lock` around a check and its write.

    Args:
        path: The database, made with mode 0600.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the database."""
        with self.lock:
            self._database.close()

    def get(self, token: str, resource_id: Any) -> Record | None:
        """A resource by type and id; None where the id is not known."""
        if not isinstance(resource_id, str):
            return None
        found = self._select("type = ? AND id = ?", token, resource_id)
        return found[0] if found else None

    def of_type(self, *tokens: str) -> list[Record]:
        """All resources of some types."""
        return self._select(f"type IN ({', '.join('?' * len(tokens))})", *tokens)

    def of_urn(self, urn: str) -> list[Record]:
        """All resources that a URN owns, the youngest first."""
        return sorted(self._select("urn = ?", urn), key=lambda record: -record.generation)

    def holding(self, value: str, *tokens: str) -> Record | None:
        """A resource of some types with an input that is, or contains, `value`."""
        return next((record for record in self.of_type(*tokens) if record.holds(value)), None)

    def unconfirmed(self, urn: str) -> Record | None:
        """What a URN owns without the engine knowing."""
        return next((record for record in self.of_urn(urn) if not record.confirmed), None)

    def next_generation(self, urn: str) -> int:
        """Generation of a new resource of a URN: that of the one it would take over, else a new one."""
        pending = self.unconfirmed(urn)
        if pending is not None:
            return pending.generation
        with self.lock:
            row = self._database.execute("SELECT next FROM generations WHERE urn = ?", (urn,)).fetchone()
            return max([row[0] if row else 0, *(record.generation + 1 for record in self.of_urn(urn))])

    def put(self, record: Record) -> None:
        """Writes a resource down."""
        with self.lock:
            row = {**vars(record), "inputs": json.dumps(record.inputs), "outputs": json.dumps(record.outputs)}
            self._database.execute(
                "INSERT OR REPLACE INTO resources "
                "VALUES (:type, :id, :urn, :generation, :confirmed, :inputs, :outputs)",
                row,
            )

    def confirm(self, token: str, resource_id: str, urn: str) -> None:
        """The engine knows it."""
        with self.lock:
            self._database.execute(
                "UPDATE resources SET confirmed = 1 WHERE type = ? AND id = ? AND urn = ? AND confirmed = 0",
                (token, resource_id, urn),
            )

    def remove(self, record: Record) -> None:
        """The resource is gone; its URN's next one has another generation."""
        with self.lock:
            self._database.execute("BEGIN")
            self._database.execute(
                "DELETE FROM resources WHERE type = ? AND id = ?", (record.type, record.id)
            )
            self._database.execute(
                "INSERT INTO generations VALUES (?, ?) ON CONFLICT (urn) DO UPDATE SET next = max(next, "
                "excluded.next)",
                (record.urn, record.generation + 1),
            )
            self._database.execute("COMMIT")

    def _select(self, condition: str, *values: str) -> list[Record]:
        # Conditions are texts of this module; values go in as parameters.
        query = f"SELECT * FROM resources WHERE {condition}"  # noqa: S608
        with self.lock:
            rows = self._database.execute(query, values).fetchall()
        return [
            Record(
                **{
                    **row,
                    "confirmed": bool(row["confirmed"]),
                    "inputs": json.loads(row["inputs"]),
                    "outputs": json.loads(row["outputs"]),
                }
            )
            for row in map(dict, rows)
        ]
