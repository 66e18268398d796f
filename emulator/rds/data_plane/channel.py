"""One connection, with TLS or without: read by one coroutine, written by one."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

HIGH_WATER_BYTES = 256 * 1024
SLOW_SECONDS = 60.0


class Closed(Exception):
    """The other side is gone, or breaks the rules of TLS."""


class Channel:
    """Streams of asyncio, and a server's side of TLS that begins when it is told to.

    Both buffer at most `HIGH_WATER_BYTES` (and what one read adds) each way; then the other side waits.

    Args:
        reader: Made with `limit=HIGH_WATER_BYTES // 2`, of which asyncio takes twice as much.
        writer: Of the same connection.

    Attributes:
        broken: Whether reading ended with an error, so that nothing more can be sent.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._reader, self._writer = reader, writer
        self._unread = b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.broken = False

    @property
    def established(self) -> bool:
        """Whether TLS protects what is read and written."""
        return self._tls is not None

    @property
    def peer(self) -> str:
        name = self._writer.get_extra_info("peername")
        return str(name[0]) if name else ""

    @property
    def has_unread(self) -> bool:
        """Whether something was received that nobody has read."""
        return bool(self._unread)

    async def read(self) -> bytes:
        """What has arrived, at least a byte; nothing at the end.

        Raises:
            Closed: The connection broke.
        """
        data, self._unread = self._unread or await self._receive(), b""
        return data

    async def read_exactly(self, count: int) -> bytes:
        """`count` bytes.

        Raises:
            Closed: The other side ended before.
        """
        await self._wait_for(count)
        data, self._unread = self._unread[:count], self._unread[count:]
        return data

    async def peek(self) -> int:
        """The next byte, which stays unread.

        Raises:
            Closed: There is none.
        """
        await self._wait_for(1)
        return self._unread[0]

    def write(self, data: bytes) -> None:
        """Sends, some time later; `drain` waits for the other side."""
        if self._tls is None:
            self._writer.write(data)
            return
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        self._flush()

    async def drain(self) -> None:
        """Waits until the other side has read enough.

        Raises:
            Closed: The connection broke.
        """
        try:
            await self._writer.drain()
        except OSError as error:
            raise Closed(str(error)) from error

    async def start_tls(self, context: ssl.SSLContext) -> str | None:
        """Becomes the server's side of TLS; what was received unread is its beginning.

        Returns:
            The protocol that ALPN chose.

        Raises:
            Closed: The client ended, or does not speak what the context takes.
        """
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(self._unread)
        self._unread = b""
        try:
            while not self._shake(tls):
                data = await self._reader.read(HIGH_WATER_BYTES)
                if not data:
                    raise Closed("the client ended during the TLS handshake")
                self._incoming.write(data)
        except OSError as error:
            self.broken = True
            raise Closed(str(error)) from error
        self._tls = tls
        return tls.selected_alpn_protocol()

    def finish(self) -> None:
        """Sends no more after what was written; reading goes on."""
        if self._tls is not None:
            # Ours is written; the client's own close_notify may come later or never.
            with contextlib.suppress(OSError):
                self._tls.unwrap()
            self._flush()
        # Of a connection that is gone already asyncio tells later.
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    async def wind_down(self, seconds: float) -> None:
        """Ends when all that was written is sent and the other side has had time to read it.

        Closing a connection on which something unread has arrived would make the other side lose what was
        sent last, so it is read and dropped until the other side ends too.
        """
        dropping = asyncio.create_task(self._drop_input())
        try:
            self.finish()
            # From now on `drain` waits until everything is written.
            self._writer.transport.set_write_buffer_limits(high=0)
            async with asyncio.timeout(SLOW_SECONDS):
                await self._writer.drain()
            async with asyncio.timeout(seconds):
                await dropping
                self.close()
                await self._writer.wait_closed()
        except OSError:
            self.abort()
        finally:
            dropping.cancel()

    def close(self) -> None:
        """Ends when all that was written is sent."""
        self._writer.close()

    def abort(self) -> None:
        """Ends at once."""
        self._writer.transport.abort()

    async def _wait_for(self, count: int) -> None:
        while len(self._unread) < count:
            more = await self._receive()
            if not more:
                raise Closed("the other side ended")
            self._unread += more

    async def _receive(self) -> bytes:
        """The next bytes; nothing at the end."""
        try:
            while True:
                plain = None if self._tls is None else self._decrypted(self._tls)
                if plain is not None:
                    return plain
                data = await self._reader.read(HIGH_WATER_BYTES)
                if self._tls is None or not data:
                    return data
                self._incoming.write(data)
        except OSError as error:
            self.broken = True
            raise Closed(str(error)) from error

    def _decrypted(self, tls: ssl.SSLObject) -> bytes | None:
        """What has arrived through TLS: None for nothing yet, empty at its end."""
        plain = b""
        try:
            while part := tls.read(HIGH_WATER_BYTES):
                plain += part
        except ssl.SSLWantReadError:
            return plain or None
        except ssl.SSLZeroReturnError:
            return plain
        finally:
            # The alert after a refusal as well.
            self._flush()
        return plain

    def _shake(self, tls: ssl.SSLObject) -> bool:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    def _flush(self) -> None:
        if output := self._outgoing.read():
            self._writer.write(output)

    async def _drop_input(self) -> None:
        with contextlib.suppress(OSError):
            while await self._reader.read(HIGH_WATER_BYTES):
                continue
