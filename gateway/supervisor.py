"""The process that `python -m gateway` begins with. It serves nobody: its workers do, one per core.

It polls for the document, reports, publishes metrics, and answers Prometheus for all of them.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.config_watcher import ConfigWatcher, is_set_within
from gateway.document_source import DocumentSource
from gateway.metrics import Metrics
from gateway.published_metrics import (
    AUTHORITY_LIFE_LEFT,
    CLIENT_LIFE_LEFT,
    INTERVAL_SECONDS,
    LIST_LIFE_LEFT,
    metrics_line,
)
from gateway.report import Report
from gateway.workers import ANSWER_SECONDS, Workers

METRICS_ADDRESS = "127.0.0.1"

_log = logging.getLogger(__name__)


@final
@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the machine listens.

    Attributes:
        address: for requests, HTTPS.
        port: for requests.
        metrics_port: on loopback, plain HTTP.
    """

    address: str
    port: int
    metrics_port: int


async def supervise(
    source: DocumentSource,
    ports: Ports,
    application: str,
    *,
    workers: int,
    name: str | None = None,
    report: Callable[[Report], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let the workers finish the requests that have begun.

    Nothing listens before the first document is in effect, so that no load balancer sends requests that
    could only be refused.

    Args:
        source: where the document comes from.
        ports: where to listen.
        application: what callers reach, `module:attribute`.
        workers: how many processes serve.
        name: what alarms call the gateway; None where there are no alarms.
        report: publishes which document is in effect; None where nobody waits for that.

    Raises:
        ApplicationError: the workers cannot load the application.
        OSError: nothing can listen there.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    with _bound(ports) as listener:
        team = Workers(application, listener, workers, metrics)
        watcher = ConfigWatcher(source, adopt=team.adopt, metrics=metrics, report=report)
        registry = CollectorRegistry()
        registry.register(_OfAll(team, loop))
        counting, _ = start_http_server(ports.metrics_port, METRICS_ADDRESS, registry=registry)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(team.keep(stop))
                await watcher.first(stop)
                tasks.create_task(watcher.follow(stop))
                if name is not None:
                    tasks.create_task(_publish(name, watcher, metrics, stop))
        finally:
            counting.shutdown()
            counting.server_close()
    if team.unable is not None:
        raise team.unable
    _log.info("stopped")


class _OfAll(Collector):
    """Collects from the thread of an HTTP server."""

    def __init__(self, team: Workers, loop: asyncio.AbstractEventLoop) -> None:
        self._team = team
        self._loop = loop

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        found = asyncio.run_coroutine_threadsafe(self._team.metrics(), self._loop)
        return found.result(2 * ANSWER_SECONDS)


def _bound(ports: Ports) -> socket.socket:
    """A socket that does not listen yet: the workers let it, with the first document."""
    family = socket.AF_INET6 if ":" in ports.address else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((ports.address, ports.port))
    except OSError:
        bound.close()
        raise
    return bound


async def _publish(name: str, watcher: ConfigWatcher, metrics: Metrics, stop: asyncio.Event) -> None:
    while not stop.is_set():
        now, admission = datetime.now(UTC), watcher.admission
        line = metrics_line(
            name,
            lives_left={
                LIST_LIFE_LEFT: admission and admission.list_life_left(now),
                AUTHORITY_LIFE_LEFT: admission and admission.authority_life_left(now),
                CLIENT_LIFE_LEFT: metrics.client_lives.shortest(now.timestamp()),
            },
            document_is_refused=bool(watcher.problem),
            serial=watcher.in_effect and watcher.in_effect.serial,
            now=now.timestamp(),
        )
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await is_set_within(stop, INTERVAL_SECONDS)
