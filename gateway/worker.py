"""`python -m gateway.worker`: one of the processes that serve, started by `gateway.supervisor`.

It does what the supervisor asks for on the control channel, and ends when that ends. It fetches nothing by
itself: a document comes from the supervisor, first to be prepared and then, once all workers have it, to take
effect.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, final

import uvloop

from gateway import structured_log
from gateway.control_channel import Channel, Message
from gateway.database import RolePools, Share
from gateway.errors import ApplicationError
from gateway.health import MachineHealth, reasons
from gateway.in_flight import InFlight
from gateway.metrics import Metrics
from gateway.served_document import ServedDocument
from gateway.serving import HttpsServer, guarded, load_application
from gateway.summed_metrics import snapshot
from gateway.verdict import Admission

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the control channel ends.

    Returns:
        0 after that, 1 when the application cannot be loaded, which the supervisor is told.
    """
    parser = argparse.ArgumentParser(prog="python -m gateway.worker", description=__doc__)
    parser.add_argument("--application", required=True, metavar="MODULE:ATTRIBUTE")
    parser.add_argument("--worker", type=int, required=True, help="its number, from 0")
    parser.add_argument("--workers", type=int, required=True, help="how many there are")
    for name in ("control", "listener", "in-flight"):
        parser.add_argument(f"--{name}", type=int, required=True, help="an inherited descriptor")
    options = parser.parse_args(arguments)
    structured_log.begin()
    for descriptor in (options.control, options.listener, options.in_flight):
        # Programs that the application starts do not get them.
        os.set_inheritable(descriptor, False)
    return uvloop.run(_work(options))


async def _work(options: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # systemd and a terminal send these to all processes; the supervisor decides what they mean.
        loop.add_signal_handler(number, lambda: None)
    channel = await Channel.over(socket.socket(fileno=options.control))
    try:
        application = load_application(options.application)
    except ApplicationError as error:
        await channel.send(Message(fields={"cannotStart": str(error)}))
        return 1
    worker = Worker(
        channel,
        share=Share(worker=options.worker, workers=options.workers),
        in_flight=InFlight(options.in_flight, options.worker),
    )
    server = worker.server(application)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.follow(server, tasks))
            await worker.has_document.wait()
            if worker.served.admission is not None:
                await server.serve(socket.socket(fileno=options.listener))
    finally:
        await worker.pools.close()
        channel.close()
    return 0


@final
class Worker:
    """What the supervisor asks a worker."""

    def __init__(self, channel: Channel, *, share: Share, in_flight: InFlight) -> None:
        """Serve nothing yet."""
        self._channel = channel
        self._in_flight = in_flight
        self._machine = MachineHealth()
        self._metrics = Metrics()
        self._prepared: Admission | None = None
        self.served = ServedDocument()
        self.has_document = asyncio.Event()
        """Set with the first document, and at the end."""
        self.pools = RolePools(metrics=self._metrics, share=share)
        self._metrics.observe_pools(self.pools.states)

    def server(self, application: Any) -> HttpsServer:
        """The server of an application inside the gateway's middleware."""
        return HttpsServer(
            guarded(
                application,
                served=self.served,
                pools=self.pools,
                in_flight=self._in_flight,
                machine=self._machine,
                metrics=self._metrics,
                write=_written,
            )
        )

    async def follow(self, server: HttpsServer, tasks: asyncio.TaskGroup) -> None:
        """Answer the supervisor until it sends no more, then end the server."""
        while (message := await self._channel.receive()) is not None:
            tasks.create_task(self._answer(message, server))
        server.end()
        self.has_document.set()

    async def _answer(self, message: Message, server: HttpsServer) -> None:
        fields = message.fields
        match fields["ask"]:
            case "prepare":
                answer = await self._prepare(message.body)
            case "serve":
                answer = await self._serve(fields, server)
            case "state":
                answer = self._state(fields["since"])
            case "machine":
                self._machine.broken, self._machine.unready = map(
                    tuple, (fields["broken"], fields["unready"])
                )
                answer = {}
            case other:
                raise ValueError(f"the supervisor asks for {other!r}, which no worker knows")
        try:
            await self._channel.send(Message(fields={"number": fields["number"], **answer}))
        except ConnectionError:
            # `follow` sees the end as well.
            _log.info("the supervisor has ended")

    async def _prepare(self, text: bytes) -> dict[str, Any]:
        # The supervisor has read the same bytes, so this raises nothing.
        self._prepared = await asyncio.to_thread(Admission.of, text)
        try:
            await self.pools.prepare(self._prepared.document.database)
        except OSError as error:
            return {"problem": str(error)}
        return {}

    async def _serve(self, fields: dict[str, Any], server: HttpsServer) -> dict[str, Any]:
        if self._prepared is None:
            raise ValueError("the supervisor has a document served that was not prepared")
        await self.pools.adopt(self._prepared.document.database)
        self._in_flight.number((kind, value) for kind, value in fields["callers"])
        self.served.serve(self._prepared, fields["sha256"])
        self.has_document.set()
        await server.started.wait()
        return {}

    def _state(self, since: float) -> dict[str, Any]:
        return {
            "unready": reasons(self.served, self.pools, time.time()),
            "metrics": snapshot(self._metrics.registry),
            "clients": self._metrics.client_lives.since(since),
        }


def _written(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
