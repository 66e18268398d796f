"""Keeps the gateway's document current: polls its source and puts each valid new version into effect.

A document that cannot be read never replaces one that could: the old one stays in effect, and the error
goes to the log and the metrics.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import uniform

from gateway.document_source import DocumentSource, FoundDocument
from gateway.errors import DocumentError
from gateway.metrics import Metrics
from gateway.verdict import Admission
from pgpasswordless.connections import Database

MAX_BACK_OFF_SECONDS = 60.0

_log = logging.getLogger(__name__)


class ConfigWatcher:
    """Holds the newest valid document; belongs to one event loop."""

    def __init__(
        self,
        source: DocumentSource,
        *,
        adopt: Callable[[Database], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        """Keep the source; nothing is fetched yet.

        Args:
            source: where to look.
            adopt: is given the database of each new document before the document takes effect.
            metrics: counts adopted and refused documents.
        """
        self.admission: Admission | None = None
        """Decides on requests; None before the first document."""
        self._source = source
        self._adopt = adopt
        self._metrics = metrics
        self._seen: str | None = None
        self._in_effect: str | None = None

    @property
    def document_is_refused(self) -> bool:
        """Whether the newest document is invalid."""
        return self._seen != self._in_effect

    async def refresh(self) -> bool:
        """Look for a new document once and put it into effect.

        Returns:
            Whether there was a new one.

        Raises:
            DocumentError: it cannot be fetched or is invalid; the previous one stays in effect.
        """
        found = await asyncio.to_thread(self._source.fetch, self._seen)
        if found is None:
            self._metrics.document_is_current(not self.document_is_refused)
            return False
        # An invalid document is read, and reported, only once.
        self._seen = found.version
        admission = await asyncio.to_thread(read_document, found)
        try:
            await self._adopt(admission.document.database)
        except OSError as error:
            # The document is valid, so the next poll tries it again.
            self._seen = self._in_effect
            raise DocumentError(f"the authorities of the database cannot be written: {error}") from None
        self.admission = admission
        self._in_effect = found.version
        self._metrics.document_adopted()
        _log.info("document %s is in effect", found.version)
        return True

    async def follow(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set; less often after errors."""
        delay = self._source.interval_seconds
        while not await is_set_within(stop, delay * uniform(0.9, 1.1)):  # noqa: S311  nothing to guess
            try:
                await self.refresh()
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
                await self.refresh()
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
        raise DocumentError(f"document {found.version} is invalid: {error}") from None


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, for so long at most; whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
