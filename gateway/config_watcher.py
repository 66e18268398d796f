"""Keeps the gateway's document current: polls its source and puts each valid new version into effect.

A document that cannot be read never replaces one that could, and neither does an older one: the one in
effect stays, and the error goes to the log and the metrics.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import uniform

from gateway.document_source import DocumentSource, FoundDocument
from gateway.errors import DocumentError, ReportError
from gateway.metrics import Metrics
from gateway.report import Report
from gateway.served_document import ServedDocument
from gateway.verdict import Admission

MAX_BACK_OFF_SECONDS = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RefusedDocument:
    """Why the newest document does not decide; the reason repeats none of its values."""

    sha256: str
    reason: str


class ConfigWatcher(ServedDocument):
    """Holds the newest valid document; belongs to one event loop."""

    def __init__(
        self,
        source: DocumentSource,
        *,
        adopt: Callable[[FoundDocument, Admission], Awaitable[None]],
        metrics: Metrics,
        report: Callable[[Report], None] | None = None,
    ) -> None:
        """Keep the source; nothing is fetched yet.

        Args:
            source: where to look.
            adopt: is given each new document before it takes effect.
            metrics: counts adopted and refused documents.
            report: publishes which document is in effect, whenever that changes; may block.
        """
        self.refused: RefusedDocument | None = None
        """The newest document, where it is refused."""
        self.unfetched = ""
        """Why the last poll could not fetch a document, or put it into effect."""
        self._source = source
        self._adopt = adopt
        self._metrics = metrics
        self._seen: str | None = None
        self._publish = report
        self._reported: Report | None = None
        self._unreported = ""

    async def refresh(self) -> bool:
        """Look for a new document once and put it into effect.

        Returns:
            Whether there was a new one.

        Raises:
            DocumentError: it cannot be fetched, is invalid or is older; the previous one stays in effect.
        """
        found = await asyncio.to_thread(self._source.fetch, self._seen)
        if found is not None:
            # A document that is refused is read, and reported, only once.
            self._seen = found.version
            if self.in_effect is None or found.sha256 != self.in_effect.sha256:
                await self._take(found)
                return True
            self.refused = None
        self._metrics.document_is_current(self.refused is None)
        return False

    async def _take(self, found: FoundDocument) -> None:
        try:
            admission = await asyncio.to_thread(read_document, found)
            self._check_order(admission.document.serial)
        except DocumentError as error:
            self.refused = RefusedDocument(sha256=found.sha256, reason=str(error))
            raise
        try:
            await self._adopt(found, admission)
        except OSError as error:
            # The document is valid, so the next poll tries it again.
            self._seen = None
            raise DocumentError(f"the authorities of the database cannot be written: {error}") from None
        effect = self.serve(admission, found.sha256)
        self.refused = None
        self._metrics.document_adopted()
        _log.info("document %d (SHA-256 %s) is in effect", effect.serial, found.sha256)

    def _check_order(self, serial: int) -> None:
        """Only a higher serial than the one in effect is a newer document.

        It is kept in memory alone: what lies on a disk could have been written by somebody else.
        """
        if self.in_effect is None or serial > self.in_effect.serial:
            return
        what = (
            f"document {serial} is older than {self.in_effect.serial}, which is in effect"
            if serial < self.in_effect.serial
            else f"the document has the serial {serial} of the one in effect, and another content"
        )
        raise DocumentError(f"{what}; where 'pulumi up' did not write it, delete that version of the object")

    async def _refresh_and_report(self) -> None:
        self.unfetched = ""
        try:
            await self.refresh()
        except DocumentError as error:
            self.unfetched = "" if self.refused else str(error)
            raise
        finally:
            await self._report()

    @property
    def problem(self) -> str:
        """Why the newest document is not in effect; empty while it is."""
        return self.refused.reason if self.refused else self.unfetched

    async def _report(self) -> None:
        effect, refused = self.in_effect, self.refused
        report = Report(
            serial=effect and effect.serial,
            sha256=effect and effect.sha256,
            refused_sha256=refused and refused.sha256,
            problem=self.problem,
        )
        if self._publish is None or report == self._reported:
            return
        try:
            await asyncio.to_thread(self._publish, report)
        except ReportError as error:
            # The next poll tries again; it is said once.
            if str(error) != self._unreported:
                _log.error("%s", error)
            self._unreported = str(error)
        else:
            self._reported, self._unreported = report, ""

    async def follow(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set; less often after errors."""
        delay = self._source.interval_seconds
        while not await is_set_within(stop, delay * uniform(0.9, 1.1)):  # noqa: S311  nothing to guess
            try:
                await self._refresh_and_report()
            except DocumentError as error:
                self._metrics.document_refused()
                _log.error("the document is not replaced: %s", error)
                delay = min(delay * 2, MAX_BACK_OFF_SECONDS)
            else:
                delay = self._source.interval_seconds

    async def first(self, stop: asyncio.Event) -> None:
        """Wait until the first document is in effect or `stop` is set."""
        delay = 1.0
        while self.admission is None and not stop.is_set():
            try:
                await self._refresh_and_report()
            except DocumentError as error:
                self._metrics.document_refused()
                _log.error("there is no document yet: %s", error)
            if self.admission is None and not await is_set_within(stop, delay):
                delay = min(delay * 2, MAX_BACK_OFF_SECONDS)


def read_document(found: FoundDocument) -> Admission:
    """Parse a document with its certificates and revocation lists.

    Raises:
        DocumentError: it is invalid; the message repeats none of its values.
    """
    try:
        return Admission.of(found.text)
    except DocumentError as error:
        raise DocumentError(f"the document (SHA-256 {found.sha256}) is invalid: {error}") from None


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, for so long at most; whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
