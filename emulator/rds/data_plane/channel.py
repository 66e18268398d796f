"""One connection as asyncio sees it, with TLS or without: read by one coroutine, written by one."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from emulator.rds.data_plane.tls_session import TlsSession

HIGH_WATER_BYTES = 256 * 1024
SLOW_SECONDS = 60.0


class Closed(Exception):
    """The other side is gone, or breaks the rules of TLS."""


class Channel(asyncio.Protocol):
    """Buffers at most `HIGH_WATER_BYTES` (and what one read adds) each way; then the other side waits.

    Attributes:
        lost: Set when the connection is gone.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._ended = False
        self._failure: Exception | None = None
        self._paused = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._tls: TlsSession | None = None
        self._dropping = False
        self._input_over = asyncio.Event()
        self.lost = asyncio.Event()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        # What comes after the end of TLS means nothing.
        if self._ended or self._dropping:
            return
        if self._tls is None:
            self._received += data
        else:
            self._decrypt(data)
        if len(self._received) > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> bool:
        # The other side sends no more; it may still read.
        self._ended = True
        self._input_over.set()
        self._arrived.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._failure = self._failure or Closed(str(exc or "closed"))
        self._ended = True
        self._arrived.set()
        self._writable.set()
        self._input_over.set()
        self.lost.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What the one coroutine each way calls.

    @property
    def established(self) -> bool:
        return self._tls is not None and self._tls.established

    @property
    def broken(self) -> bool:
        """Whether it ended with an error, so that nothing more can be sent."""
        return self._failure is not None

    @property
    def peer(self) -> str:
        name = self._connected.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def has_unread(self) -> bool:
        """Whether something has arrived that nobody has read."""
        return bool(self._received)

    async def read(self) -> bytes:
        """What has arrived, at least a byte; nothing at the end.

        Raises:
            Closed: The connection broke.
        """
        while not self._received:
            if self._ended:
                self._raise_failure()
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        return self._taken(len(self._received))

    async def read_exactly(self, count: int) -> bytes:
        """`count` bytes.

        Raises:
            Closed: The other side ended before.
        """
        await self._wait_for(count)
        return self._taken(count)

    async def peek(self) -> int:
        """The next byte, which stays unread.

        Raises:
            Closed: There is none.
        """
        await self._wait_for(1)
        return self._received[0]

    def write(self, data: bytes) -> None:
        """Sends, some time later; `drain` waits for the other side."""
        if self._tls is None:
            self._connected.write(data)
        else:
            self._tls.send(data)
            self._flush()

    async def drain(self) -> None:
        """Waits until the other side has read enough.

        Raises:
            Closed: The connection broke.
        """
        await self._writable.wait()
        self._raise_failure()

    async def start_tls(self, context: ssl.SSLContext) -> TlsSession:
        """Becomes the server's side of TLS; what has arrived unread is its beginning.

        Raises:
            Closed: The client ended, or does not speak what the context takes.
        """
        first, self._received = bytes(self._received), bytearray()
        self._tls = TlsSession(context)
        if first:
            self._decrypt(first)
        while not self._tls.established:
            if self._ended:
                raise self._failure or Closed("the client ended during the TLS handshake")
            self._arrived.clear()
            await self._arrived.wait()
        return self._tls

    def finish(self) -> None:
        """Sends no more after what was written; reading goes on."""
        if self._tls is not None:
            self._tls.finish()
            self._flush()
        if not self._connected.is_closing() and self._connected.can_write_eof():
            # Of a connection that is gone already asyncio tells later.
            with contextlib.suppress(OSError):
                self._connected.write_eof()

    async def wind_down(self, seconds: float) -> None:
        """Ends when all that was written is sent and the other side has had time to read it.

        Closing a connection on which something unread has arrived would make the other side lose what was
        sent last, so it is read and dropped until the other side ends too.
        """
        if self.lost.is_set():
            return
        self._dropping = True
        self._transport_resume()
        try:
            self.finish()
            # From now on writable means that everything is written.
            self._connected.set_write_buffer_limits(high=0)
            async with asyncio.timeout(SLOW_SECONDS):
                await self._writable.wait()
            async with asyncio.timeout(seconds):
                await self._input_over.wait()
                self.close()
                await self.lost.wait()
        except (Closed, TimeoutError):
            self.abort()

    def close(self) -> None:
        """Ends when all that was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def _connected(self) -> asyncio.Transport:
        if self._transport is None:
            raise Closed("not connected")
        return self._transport

    def _decrypt(self, data: bytes) -> None:
        assert self._tls is not None  # noqa: S101 - for the type checker
        try:
            self._received += self._tls.receive(data)
        except ssl.SSLError as error:
            self._failure = Closed(f"TLS: {error.reason}")
            self._ended = True
        self._ended = self._ended or self._tls.ended
        # The alert after a refusal as well.
        self._flush()

    def _flush(self) -> None:
        assert self._tls is not None  # noqa: S101 - for the type checker
        output = self._tls.take_output()
        if output and not self._connected.is_closing():
            self._connected.write(output)

    async def _wait_for(self, count: int) -> None:
        while len(self._received) < count:
            if self._ended:
                raise self._failure or Closed("the other side ended")
            self._arrived.clear()
            await self._arrived.wait()

    def _taken(self, count: int) -> bytes:
        data = bytes(self._received[:count])
        del self._received[:count]
        if len(self._received) <= HIGH_WATER_BYTES // 2:
            self._transport_resume()
        return data

    def _transport_resume(self) -> None:
        if self._paused and not self._connected.is_closing():
            self._paused = False
            self._connected.resume_reading()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
