"""One process of the gateway: the document, the pools, and the two ports, from start to SIGTERM."""

from __future__ import annotations

import asyncio
import importlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast, final

import uvicorn
from prometheus_client import start_http_server
from starlette.types import ASGIApp

from gateway.access_log import AccessLog
from gateway.config_watcher import ConfigWatcher, is_set_within
from gateway.database import RolePools
from gateway.document_source import DocumentSource
from gateway.errors import ApplicationError
from gateway.health import HealthMiddleware
from gateway.limits import LimitsMiddleware
from gateway.metrics import Metrics
from gateway.middleware import CertificateMiddleware, UnavailableMiddleware
from gateway.published_metrics import (
    AUTHORITY_LIFE_LEFT,
    CLIENT_LIFE_LEFT,
    INTERVAL_SECONDS,
    LIST_LIFE_LEFT,
    metrics_line,
)
from gateway.report import Report
from gateway.target_certificate import target_context

METRICS_ADDRESS = "127.0.0.1"
# A load balancer keeps idle connections for 60 s. It must close them first, or it may send a request on a
# connection that is just being closed (ALB guide, HTTP 502).
KEEP_ALIVE_SECONDS = 75
DRAIN_SECONDS = 25

_log = logging.getLogger(__name__)


@final
@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the process listens.

    Attributes:
        address: for requests, HTTPS.
        port: for requests.
        metrics_port: on loopback, plain HTTP.
    """

    address: str
    port: int
    metrics_port: int


def load_application(name: str) -> ASGIApp:
    """The ASGI application `module:attribute`.

    Raises:
        ApplicationError: there is none of this name.
    """
    module, _, attribute = name.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ApplicationError(
            f"the application {name!r} cannot be loaded: {error}; name a module of the artifact and its"
            " ASGI application as module:attribute"
        ) from error
    if not callable(found):
        raise ApplicationError(f"the application {name!r} is not callable, so it is not an ASGI application")
    return cast("ASGIApp", found)


def guarded(
    application: ASGIApp,
    *,
    watcher: ConfigWatcher,
    pools: RolePools,
    metrics: Metrics,
    write: Callable[[str], object],
) -> ASGIApp:
    """An application with the gateway's middleware around it.

    Args:
        application: what callers reach.
        watcher: has the document that decides who they are.
        pools: connections as their roles.
        metrics: counters of requests and refusals.
        write: writes a line of the access log.
    """
    limited = LimitsMiddleware(application, metrics=metrics)
    callers_only = CertificateMiddleware(limited, watcher=watcher, pools=pools, metrics=metrics)
    answering = UnavailableMiddleware(callers_only)
    return AccessLog(HealthMiddleware(answering, watcher=watcher, pools=pools), write=write, metrics=metrics)


async def serve(
    source: DocumentSource,
    ports: Ports,
    application: ASGIApp,
    *,
    name: str | None = None,
    report: Callable[[Report], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that have begun.

    Nothing listens before the first document is in effect, so that no load balancer sends requests that
    could only be refused.

    Args:
        source: where the document comes from.
        ports: where to listen.
        application: what callers reach.
        name: what alarms call the gateway; None where there are no alarms.
        report: publishes which document is in effect; None where nobody waits for that.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    pools = RolePools(metrics=metrics)
    metrics.observe_pools(pools.states)
    watcher = ConfigWatcher(source, adopt=pools.adopt, metrics=metrics, report=report)
    counting, _ = start_http_server(ports.metrics_port, METRICS_ADDRESS, registry=metrics.registry)
    try:
        await watcher.first(stop)
        if stop.is_set():
            return
        whole = guarded(application, watcher=watcher, pools=pools, metrics=metrics, write=_written)
        server = _Server(_configuration(whole, ports))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watcher.follow(stop))
            tasks.create_task(_end(server, stop))
            if name is not None:
                tasks.create_task(_publish(name, watcher, metrics, stop))
            await server.serve()
            stop.set()
    finally:
        counting.shutdown()
        counting.server_close()
        await pools.close()
        _log.info("stopped")


async def _end(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


async def _publish(name: str, watcher: ConfigWatcher, metrics: Metrics, stop: asyncio.Event) -> None:
    while True:
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
        _written(line + "\n")
        if await is_set_within(stop, INTERVAL_SECONDS):
            return


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle no signals: `serve` does, because they also end the other parts of the process."""
        yield


def _configuration(application: ASGIApp, ports: Ports) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        host=ports.address,
        port=ports.port,
        http="httptools",
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        # X-Forwarded-For decides nothing here.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        # `LimitsMiddleware` has the limits: this one would turn health checks away too.
        limit_concurrency=None,
        ssl_context_factory=_context,
    )


def _context(_configuration: uvicorn.Config, _default: Callable[[], Any]) -> Any:
    return target_context()


def _written(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
