"""One worker as its supervisor sees it: a process, and the channel to it."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Self, final

from gateway.control_channel import Channel, Message
from gateway.errors import ApplicationError, GatewayError

_EXIT_SECONDS = 5.0


class WorkerError(GatewayError):
    """A worker has ended, or does not answer in time."""


@final
class WorkerProcess:
    """A running worker; belongs to one event loop."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel) -> None:
        """Watch over a process; `start` makes one."""
        self.pid = process.pid
        self.unable = ""
        """Why it says that it cannot start; empty while it says nothing."""
        self._process = process
        self._channel = channel
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, application: str, descriptors: Mapping[str, int], number: int, workers: int) -> Self:
        """Start a worker by executing a new interpreter: a fork would take locks of other threads along.

        What the worker must know and nobody may see goes over the channel: a command line is public.

        Args:
            application: what it serves, `module:attribute`.
            descriptors: what it inherits, by the names of its options.
            number: which one it is, from 0.
            workers: how many there are.

        Raises:
            OSError: there cannot be another process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = {**descriptors, "control": theirs.fileno()}
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", *(["-s"] if sys.flags.no_user_site else [])),
                    *("-m", "gateway.worker", f"--application={application}"),
                    *(f"--worker={number}", f"--workers={workers}"),
                    *(f"--{name}={descriptor}" for name, descriptor in inherited.items()),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=tuple(inherited.values()),
            )
        return cls(process, await Channel.over(ours))

    async def ask(self, what: str, *, seconds: float, body: bytes = b"", **fields: Any) -> dict[str, Any]:
        """The worker's answer.

        Raises:
            WorkerError: it has ended, or does not answer for so long.
        """
        self._count += 1
        number = self._count
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._channel.send(Message(fields={"ask": what, "number": number, **fields}, body=body))
                return await answer
        except TimeoutError:
            raise WorkerError(f"process {self.pid} does not answer within {seconds:.0f} s") from None
        except ConnectionError:
            raise WorkerError(f"process {self.pid} has ended") from None
        finally:
            del self._asked[number]
            answer.cancel()

    async def ended(self) -> str:
        """Wait for the end; how it ended.

        Raises:
            ApplicationError: the worker has said that it cannot start.
        """
        await asyncio.wait({self._reading})
        self._channel.close()
        status = await asyncio.to_thread(self._status)
        if self.unable:
            raise ApplicationError(self.unable)
        return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"

    def finish(self) -> None:
        """Let it finish the requests that have begun, and end."""
        self._channel.finish()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def _status(self) -> int:
        try:
            return self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            # Without a channel it is of no use.
            self._process.kill()
            return self._process.wait()

    async def _read(self) -> None:
        while (message := await self._channel.receive()) is not None:
            self.unable = message.fields.get("cannotStart", self.unable)
            answer = self._asked.get(message.fields.get("number", 0))
            if answer is not None and not answer.done():
                answer.set_result(message.fields)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ConnectionError())
