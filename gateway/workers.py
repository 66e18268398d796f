"""The workers of a machine: started, handed documents, asked how they are, and started again.

They share one listening socket, so a connection that none has accepted yet outlives any of them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from dataclasses import dataclass, field
from typing import Any, final

from prometheus_client.metrics_core import Metric

from gateway import summed_metrics
from gateway.config_watcher import is_set_within
from gateway.document_source import FoundDocument
from gateway.errors import ApplicationError
from gateway.health import MachineHealth
from gateway.in_flight import COLUMNS, Identity, InFlight, shared_memory
from gateway.metrics import Metrics
from gateway.serving import DRAIN_SECONDS
from gateway.verdict import Admission
from gateway.worker_process import WorkerError, WorkerProcess

STATE_SECONDS = 1.0
"""How often the workers are asked how they are."""
ANSWER_SECONDS = 5.0
"""A worker that answers later is not well."""
HAND_OVER_SECONDS = 120.0
"""How long a worker may take to read a document of 64 MiB; then it is ended, and another takes its place."""
END_SECONDS = DRAIN_SECONDS + 10
"""How long the workers may take to finish; systemd waits longer."""
STEADY_SECONDS = 60.0
"""After a life of so long, a worker is started again after the shortest pause."""
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0

_log = logging.getLogger(__name__)


def pause(before: float, lived: float) -> float:
    """How long to wait before a worker is started again, in seconds.

    Args:
        before: how long that was the last time; 0 the first time.
        lived: how long it ran since.
    """
    return FIRST_PAUSE_SECONDS if lived > STEADY_SECONDS or not before else min(before * 2, MAX_PAUSE_SECONDS)


@dataclass(kw_only=True)
class _State:
    """What is known of a running worker."""

    serves: bool = False
    is_silent: bool = False
    unready: list[str] = field(default_factory=list[str])
    metrics: list[Metric] = field(default_factory=list[Metric])
    asked_at: float = 0.0
    told: MachineHealth | None = None


@final
class Workers:
    """Belongs to one event loop."""

    def __init__(self, application: str, listener: socket.socket, number: int, metrics: Metrics) -> None:
        """Start none yet.

        Args:
            application: what they serve, `module:attribute`.
            listener: where they listen, once they have a document.
            number: how many there are.
            metrics: the supervisor's own; it learns from the workers which clients came.
        """
        self.unable: ApplicationError | None = None
        """Why no worker can start; None while they can."""
        self._application = application
        self._listener = listener
        self._number = number
        self._metrics = metrics
        self._in_flight = shared_memory(number)
        self._running: dict[WorkerProcess, _State] = {}
        self._ended: list[Metric] = []
        self._callers: dict[Identity, None] = {}
        self._document: FoundDocument | None = None
        # One document is handed over at a time, and a worker that has just started gets the one in effect.
        self._lock = asyncio.Lock()

    async def keep(self, stop: asyncio.Event) -> None:
        """Keep the workers running until `stop` is set, then let them finish.

        Sets `stop` itself when they cannot start.
        """
        keeping = [asyncio.create_task(self._keep(number, stop)) for number in range(self._number)]
        watching = asyncio.create_task(self._watch(stop))
        await asyncio.wait({*keeping, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        # The workers close theirs as well: then nothing listens.
        self._listener.close()
        for worker in self._running:
            worker.finish()
        await asyncio.wait(keeping, timeout=END_SECONDS)
        for worker in self._running:
            worker.kill()
        await asyncio.gather(watching, *keeping)

    async def adopt(self, found: FoundDocument, admission: Admission) -> None:
        """Hand a document to all workers; it takes effect once each of them has read it.

        Raises:
            OSError: one of them cannot; all go on with the document before.
        """
        async with self._lock:
            identities = [(each.kind, each.value) for each in admission.document.identities]
            if len(self._callers) + len(identities) >= COLUMNS:
                self._callers.clear()
            self._callers |= dict.fromkeys(identities)
            await self._hand_over(found, list(self._running))
            self._document = found
        await self._tell()

    async def metrics(self) -> list[Metric]:
        """The metrics of the workers, of those that have ended, and of the supervisor, added up."""
        await self._ask_all()
        own = summed_metrics.metrics(summed_metrics.snapshot(self._metrics.registry))
        return summed_metrics.summed([own, *(state.metrics for state in self._running.values()), self._ended])

    async def _hand_over(self, found: FoundDocument, workers: list[WorkerProcess]) -> None:
        prepared = await asyncio.gather(
            *(self._required(worker, "prepare", body=found.text) for worker in workers)
        )
        problems = [answer["problem"] for answer in prepared if answer and "problem" in answer]
        if problems:
            raise OSError("; ".join(problems))
        callers = list(self._callers)
        served = await asyncio.gather(
            *(self._required(each, "serve", sha256=found.sha256, callers=callers) for each in workers)
        )
        for worker, answer in zip(workers, served, strict=True):
            if answer is not None and worker in self._running:
                self._running[worker].serves = True

    async def _required(self, worker: WorkerProcess, what: str, **fields: Any) -> dict[str, Any] | None:
        """The answer of a worker; None from one that has ended, or is ended since it must not go on so."""
        try:
            return await worker.ask(what, seconds=HAND_OVER_SECONDS, **fields)
        except WorkerError as error:
            _log.warning("a document was not handed over: %s", error)
            worker.kill()
            return None

    async def _keep(self, number: int, stop: asyncio.Event) -> None:
        seconds = 0.0
        while not stop.is_set():
            began = time.monotonic()
            try:
                how = await self._one_life(number, stop)
            except ApplicationError as error:
                self.unable = error
                return
            except OSError as error:
                how = f"cannot be started: {error}"
            if stop.is_set():
                return
            seconds = pause(seconds, time.monotonic() - began)
            self._metrics.worker_ended()
            _log.error("worker %d %s; it is started again in %.0f s", number, how, seconds)
            await is_set_within(stop, seconds)

    async def _one_life(self, number: int, stop: asyncio.Event) -> str:
        """Run a worker to its end, and tell how that was.

        Raises:
            ApplicationError: it cannot load the application.
            OSError: there is no process.
        """
        async with self._lock:
            if stop.is_set():
                return "is not needed"
            descriptors = {"listener": self._listener.fileno(), "in-flight": self._in_flight}
            worker = await WorkerProcess.start(self._application, descriptors, number, self._number)
            self._running[worker] = _State()
            if stop.is_set():
                worker.finish()
            elif self._document is not None:
                try:
                    await self._hand_over(self._document, [worker])
                except OSError as error:
                    _log.error("worker %d cannot take the document: %s", number, error)
                    worker.kill()
        await self._tell()
        try:
            return f"(process {worker.pid}) ended {await worker.ended()}"
        finally:
            ended = self._running.pop(worker)
            self._ended = summed_metrics.summed([self._ended, summed_metrics.lasting(ended.metrics)])
            counts = InFlight(self._in_flight, number)
            counts.number(self._callers)
            counts.clear()
            await self._tell()

    async def _watch(self, stop: asyncio.Event) -> None:
        while not await is_set_within(stop, STATE_SECONDS):
            await self._ask_all()
            await self._tell()

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._ask(worker, state) for worker, state in self._running.items()))

    async def _ask(self, worker: WorkerProcess, state: _State) -> None:
        if not state.serves:
            return
        now = time.time()
        try:
            answer = await worker.ask("state", seconds=ANSWER_SECONDS, since=state.asked_at)
        except WorkerError:
            state.is_silent = True
            return
        state.is_silent, state.asked_at = False, now
        state.unready, state.metrics = answer["unready"], summed_metrics.metrics(answer["metrics"])
        self._metrics.client_lives.merge(answer["clients"])

    async def _tell(self) -> None:
        """Tell each worker how all of them are, where that has changed."""
        health = self._health()
        await asyncio.gather(
            *(
                self._tell_one(worker, state, health)
                for worker, state in self._running.items()
                if state.told != health
            )
        )

    async def _tell_one(self, worker: WorkerProcess, state: _State, health: MachineHealth) -> None:
        state.told = health
        try:
            await worker.ask(
                "machine", seconds=ANSWER_SECONDS, broken=list(health.broken), unready=list(health.unready)
            )
        except WorkerError:
            state.told = None

    def _health(self) -> MachineHealth:
        states = self._running.values()
        missing = self._number - sum(state.serves for state in states)
        silent = sum(state.is_silent for state in states)
        broken = [
            f"of {self._number} workers {count} {what}"
            for count, what in ((missing, "not serving"), (silent, "not answering"))
            if count
        ]
        unready = dict.fromkeys(reason for state in states for reason in state.unready)
        return MachineHealth(broken=tuple(broken), unready=tuple(unready))
