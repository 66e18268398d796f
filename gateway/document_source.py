"""Where the gateway's document comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, final


@final
@dataclass(frozen=True, kw_only=True)
class FoundDocument:
    """One version of the document, not read yet; it holds secrets.

    Attributes:
        text: JSON.
        version: what tells this version from every other one, for the log.
    """

    text: bytes = field(repr=False)
    version: str


class DocumentSource(Protocol):
    """Looks for the document, again and again."""

    interval_seconds: float
    """How often to look."""

    def fetch(self, known: str | None) -> FoundDocument | None:
        """The document as it is now, None when it still is the version `known`. May block.

        Raises:
            DocumentError: it cannot be had.
        """
        ...
