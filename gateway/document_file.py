"""The gateway's document as a file, for local use."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gateway.document_source import FoundDocument
from gateway.errors import DocumentError


class DocumentFile:
    """A file that is read again when its content changed."""

    interval_seconds = 1.0

    def __init__(self, path: Path) -> None:
        """Keep where it is; nothing is read yet."""
        self._path = path

    def fetch(self, known: str | None) -> FoundDocument | None:
        """See `DocumentSource`."""
        try:
            text = self._path.read_bytes()
        except OSError as error:
            raise DocumentError(f"{self._path} cannot be read: {error.strerror}") from None
        version = hashlib.sha256(text).hexdigest()
        return None if version == known else FoundDocument(text=text, version=version)
