"""What a worker serves: the gateway's middleware around an application, in a server of HTTPS."""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from gateway.access_log import AccessLog
from gateway.answer_transport import TogetherProtocol
from gateway.database import RolePools
from gateway.errors import ApplicationError
from gateway.health import HealthMiddleware, MachineHealth
from gateway.in_flight import InFlight
from gateway.limits import LimitsMiddleware
from gateway.metrics import Metrics
from gateway.middleware import CertificateMiddleware, UnavailableMiddleware
from gateway.served_document import ServedDocument
from gateway.target_certificate import target_context

# A load balancer keeps idle connections for 60 s. It must close them first, or it may send a request on a
# connection that is just being closed (ALB guide, HTTP 502).
KEEP_ALIVE_SECONDS = 75
DRAIN_SECONDS = 25


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
    served: ServedDocument,
    pools: RolePools,
    in_flight: InFlight,
    machine: MachineHealth,
    metrics: Metrics,
    write: Callable[[str], object],
) -> ASGIApp:
    """An application with the gateway's middleware around it.

    Args:
        application: what callers reach.
        served: has the document that decides who they are.
        pools: connections as their roles.
        in_flight: counts their requests.
        machine: whether the other workers are well.
        metrics: counters of requests and refusals.
        write: writes a line of the access log.
    """
    limited = LimitsMiddleware(application, in_flight=in_flight, metrics=metrics)
    callers_only = CertificateMiddleware(limited, served=served, pools=pools, metrics=metrics)
    answering = UnavailableMiddleware(callers_only)
    healthy = HealthMiddleware(answering, served=served, pools=pools, machine=machine)
    return AccessLog(healthy, write=write, metrics=metrics)


class HttpsServer:
    """Serves an application on a socket that the supervisor has bound."""

    def __init__(self, application: ASGIApp) -> None:
        """Nothing listens yet."""
        self.started = asyncio.Event()
        self._server = _Server(_configuration(application), self.started)

    async def serve(self, listener: socket.socket) -> None:
        """Listen until `end`, then finish the requests that have begun."""
        await self._server.serve(sockets=[listener])

    def end(self) -> None:
        """Accept no more."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, configuration: uvicorn.Config, listens: asyncio.Event) -> None:
        super().__init__(configuration)
        self._listens = listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle no signals: the supervisor does."""
        yield


def _configuration(application: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=TogetherProtocol,
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
