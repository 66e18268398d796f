"""The document that the gateway lives by now, and how a new one takes its place.

What cannot be read never replaces what could: the old document goes on, the error is in the log and in
the metrics.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import uniform

from pydantic import ValidationError

from gateway.certificate_policy import UNREADABLE
from gateway.document import GatewayDocument
from gateway.document_source import DocumentSource, FoundDocument
from gateway.errors import DocumentError
from gateway.metrics import Metrics
from gateway.verdict import Admission
from pgpasswordless.connections import Database

MAX_BACK_OFF_SECONDS = 60.0

_log = logging.getLogger(__name__)


class LiveDocument:
    """Holds what the newest good document says; the event loop's own."""

    def __init__(
        self,
        source: DocumentSource,
        *,
        adopt: Callable[[Database], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        """Keep where documents come from; nothing is fetched yet.

        Args:
            source: where to look.
            adopt: told of the database of each new document, before the document is lived by.
            metrics: told of what happens.
        """
        self.admission: Admission | None = None
        """What decides on requests; None before the first document."""
        self._source = source
        self._adopt = adopt
        self._metrics = metrics
        self._seen: str | None = None
        self._lived: str | None = None

    async def refresh(self) -> bool:
        """Look for a new document once and live by it.

        Returns:
            Whether there was a new one.

        Raises:
            DocumentError: it cannot be had, or cannot be lived by; what was before goes on.
        """
        found = await asyncio.to_thread(self._source.fetch, self._seen)
        if found is None:
            self._metrics.document_is_current(self._seen == self._lived)
            return False
        # Also of a bad one: it is read, and complained of, once.
        self._seen = found.version
        admission = await asyncio.to_thread(read_document, found)
        try:
            await self._adopt(admission.document.database)
        except OSError as error:
            # Tried again with the next look, because it is no fault of the document.
            self._seen = self._lived
            raise DocumentError(f"the authorities of the database cannot be written: {error}") from None
        self.admission = admission
        self._lived = found.version
        self._metrics.document_adopted()
        _log.info("living by document %s", found.version)
        return True

    async def follow(self, stop: asyncio.Event) -> None:
        """Look again and again until `stop` is set; after errors less often."""
        delay = self._source.interval_seconds
        while not await _is_set_within(stop, delay * uniform(0.9, 1.1)):  # noqa: S311  nothing to guess
            try:
                await self.refresh()
            except DocumentError as error:
                self._metrics.document_refused()
                _log.error("the document is not replaced: %s", error)
                delay = min(delay * 2, MAX_BACK_OFF_SECONDS)
            else:
                delay = self._source.interval_seconds

    async def first(self, stop: asyncio.Event) -> None:
        """Wait for the first document, or until `stop` is set."""
        delay = 1.0
        while self.admission is None and not stop.is_set():
            try:
                await self.refresh()
            except DocumentError as error:
                self._metrics.document_refused()
                _log.error("there is no document yet: %s", error)
            if self.admission is None and not await _is_set_within(stop, delay):
                delay = min(delay * 2, MAX_BACK_OFF_SECONDS)


def read_document(found: FoundDocument) -> Admission:
    """Read a document and what is in it.

    Raises:
        DocumentError: it is not one to live by; the text repeats no value of it.
    """
    try:
        return Admission(GatewayDocument.model_validate_json(found.text))
    except ValidationError as error:
        # Not `str(error)`, which repeats what was found, and that may be a header suffix.
        told = "; ".join(
            f"{'.'.join(str(part) for part in each['loc']) or 'the document'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise DocumentError(f"document {found.version} is not one to live by: {told}") from None
    except DocumentError as error:
        raise DocumentError(f"document {found.version} is not one to live by: {error}") from None
    except UNREADABLE as error:
        raise DocumentError(
            f"document {found.version} is not one to live by: a certificate or a revocation list in it is"
            f" malformed: {error}"
        ) from None


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
