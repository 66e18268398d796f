"""What the function answers: an outcome in words for people, never a traceback, never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended. `steps` is how many statements it ran, none of them when all was done already."""

    outcome: Literal["applied", "refused", "failed"]
    message: str
    steps: int

    def to_json(self) -> dict[str, Any]:
        """The answer to whoever invoked the function."""
        return {
            "schemaVersion": SCHEMA_VERSION,
            "outcome": self.outcome,
            "message": self.message,
            "steps": self.steps,
        }
