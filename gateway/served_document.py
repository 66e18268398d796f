"""The document that decides on requests."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.verdict import Admission


@dataclass(frozen=True, kw_only=True)
class DocumentInEffect:
    """Which document decides on requests."""

    serial: int
    sha256: str


class ServedDocument:
    """What a process serves by; belongs to one event loop.

    Attributes:
        admission: decides on requests; None before the first document.
        in_effect: which document that is.
    """

    admission: Admission | None = None
    in_effect: DocumentInEffect | None = None

    def serve(self, admission: Admission, sha256: str) -> DocumentInEffect:
        """Let a document decide from now on."""
        self.admission = admission
        self.in_effect = DocumentInEffect(serial=admission.document.serial, sha256=sha256)
        return self.in_effect
