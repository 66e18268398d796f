"""How an answer leaves: its head and its body in one TLS record and one packet.

The server writes the two apart, and each write costs encryption and a system call here, and a wake-up of the
load balancer. What is written in one turn of the event loop is sent at its end.
"""

from __future__ import annotations

import asyncio
from typing import Any, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 64 * 1024
"""More is sent at once, so that an application that writes without a pause is slowed down as before."""


class TogetherProtocol(HttpToolsProtocol):
    """uvicorn's protocol on such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection begins."""
        super().connection_made(TogetherTransport(transport, self.loop))  # type: ignore[arg-type]


@final
class TogetherTransport:
    """A transport that waits with what it has to write until the end of the turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Write to another transport."""
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Send this at the end of the turn, with what else is written until then."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self._flush()

    def close(self) -> None:
        """Send what waits, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the other transport's."""
        return getattr(self._transport, name)
