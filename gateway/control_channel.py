"""Messages between the supervisor and a worker, on a socket that only these two have.

A message is a JSON object, with bytes behind it where a document is handed over. The supervisor asks and the
worker answers; an end of the stream tells a worker to finish, whatever became of the supervisor.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self, final

_LENGTHS = struct.Struct("!II")


@final
@dataclass(frozen=True, kw_only=True)
class Message:
    """One message.

    Attributes:
        fields: what it says.
        body: of the document; empty in other messages.
    """

    fields: dict[str, Any]
    body: bytes = b""


@final
class Channel:
    """One end; belongs to an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep the streams of a socket."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """This end of a pair of sockets."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end))

    async def send(self, message: Message) -> None:
        """Send a message whole.

        Raises:
            ConnectionError: the other side has ended.
        """
        if self._writer.is_closing():
            raise ConnectionResetError("the other side has ended")
        fields = json.dumps(message.fields).encode()
        self._writer.write(_LENGTHS.pack(len(fields), len(message.body)) + fields + message.body)
        await self._writer.drain()

    async def receive(self) -> Message | None:
        """The next message; None once the other side has ended, or sends no more."""
        try:
            fields, body = _LENGTHS.unpack(await self._reader.readexactly(_LENGTHS.size))
            return Message(
                fields=json.loads(await self._reader.readexactly(fields)),
                body=await self._reader.readexactly(body),
            )
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def finish(self) -> None:
        """Send no more; the other side's messages still arrive."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
