"""What the node knows of its own past. Plain JSON: it is read on every run, in a few milliseconds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from runtime import files


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The desired state that the server serves."""

    serial: int
    manifest: str
    generation: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The desired state that was looked at last, the node that did, and how it ended."""

    serial: int
    manifest: str
    node: str | None
    outcome: str

    def same_question(self, other: Judged) -> bool:
        """Whether asking again could only give the same answer."""
        return replace(self, outcome="") == replace(other, outcome="")


@dataclass(frozen=True, kw_only=True)
class State:
    """Both; a lost or damaged file counts as a machine without a past, which costs one more apply."""

    applied: Applied | None = None
    judged: Judged | None = None

    @classmethod
    def load(cls, path: Path) -> State:
        """Read the state file."""
        document = files.read_json_object(path)
        try:
            return cls(
                applied=Applied(**document["applied"]) if document and document["applied"] else None,
                judged=Judged(**document["judged"]) if document and document["judged"] else None,
            )
        except (KeyError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Write the state file."""
        files.replace_file(path, json.dumps(asdict(self), indent=1), durable=True)
