"""What an instance says of the document that it serves. `pulumi up` waits for it; it holds no secret."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from documents.document import Document, Sha256
from documents.shown_text import ShownText


class Report(Document):
    """One instance's report.

    Attributes:
        serial: of the document in effect; None before the first one.
        sha256: of that document.
        refused_sha256: of the newest document, where it is refused.
        problem: why it is, or why it cannot be fetched; empty while all is well.
    """

    schema_version: Literal[1] = 1
    serial: int | None = Field(default=None, ge=1)
    sha256: Sha256 | None = None
    refused_sha256: Sha256 | None = None
    problem: ShownText = ""
