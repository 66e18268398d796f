"""A connection from the load balancer to one target, speaking HTTP/1.1."""

from __future__ import annotations

import asyncio
import ssl
from typing import Self

import h11

from emulator.elb.model import Target

CONNECT_SECONDS = 10.0
LONGEST_RESPONSE_HEAD = 32 * 1024
_READ_BYTES = 64 * 1024


class UpstreamFailed(Exception):
    """A target ended its connection where an answer had to come, or does not speak HTTP."""


class Upstream:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_RESPONSE_HEAD)

    @classmethod
    async def open(cls, target: Target, seconds: float) -> Self:
        """Connects with TLS; any certificate is accepted, as by ALB.

        Args:
            target: The target.
            seconds: After which it has failed.

        Raises:
            OSError: The target refuses, or fails in TLS; `TimeoutError` when it is too slow.
        """
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(target.host, target.port, ssl=any_certificate())
        return cls(reader, writer)

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: nothing is under way, and the target has not ended it."""
        over = self._reader.at_eof() or self._writer.is_closing()
        return not over and self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE

    async def send(self, event: h11.Event) -> None:
        """Sends a part of a request.

        Raises:
            OSError: The connection broke.
        """
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def receive(self) -> h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage:
        """The next part of the answer.

        Raises:
            UpstreamFailed: There is none.
            OSError: The connection broke.
        """
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_READ_BYTES))
        except h11.RemoteProtocolError as error:
            raise UpstreamFailed(str(error)) from error
        if isinstance(event, h11.Response):
            _check_size(event)
        if isinstance(event, h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage):
            return event
        raise UpstreamFailed("the target closed the connection")

    def recycle(self) -> bool:
        """Makes ready for the next request; False when the connection is of no more use."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return self.usable

    def abort(self) -> None:
        """Ends at once."""
        self._writer.transport.abort()


def header_bytes(message: h11.Request | h11.Response) -> list[int]:
    """How long each header is, with what separates it from the next."""
    return [len(name) + len(value) + len(b": \r\n") for name, value in message.headers]


def _check_size(response: h11.Response) -> None:
    size = sum(header_bytes(response))
    if size > LONGEST_RESPONSE_HEAD:
        raise UpstreamFailed(f"headers of {size} bytes; at most {LONGEST_RESPONSE_HEAD} are allowed")


def any_certificate() -> ssl.SSLContext:
    """For connections to targets, whose certificates a load balancer does not verify."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
