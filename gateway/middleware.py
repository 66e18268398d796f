"""ASGI middleware: lets only callers whom the document lists through, and answers for what fails.

The application finds the caller in `scope` (`gateway.caller.caller`) and connections as the caller's role
through `gateway.database.connection`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.caller import SCOPE_KEY
from gateway.database import STATE_KEY, RolePools
from gateway.database_error import DatabaseUnavailableError
from gateway.metrics import Metrics
from gateway.refusals import Refusal
from gateway.served_document import ServedDocument

REFUSAL_KEY = "pgpasswordless.refusal"
"""Where the scope has the `Refusal` of a refused request, for the access log."""

_MESSAGES = {401: "unauthorized", 403: "forbidden"}
# RFC 6455, 7.4.1.
_POLICY_VIOLATION = 1008
_log = logging.getLogger(__name__)


class CertificateMiddleware:
    """Decides on every request by its forwarded certificate."""

    def __init__(
        self,
        application: ASGIApp,
        *,
        served: ServedDocument,
        pools: RolePools,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Guard an application.

        Args:
            application: what callers reach.
            served: has the document that decides.
            pools: what `gateway.database.connection` takes connections from.
            metrics: counts refusals, and knows who was admitted.
            clock: seconds since 1970.
        """
        self._application = application
        self._served = served
        self._pools = pools
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        admission = self._served.admission
        if admission is None:
            await _refuse(scope, send, 503, "not ready")
            return
        now = self._clock()
        verdict, others = admission.examine(scope["headers"], now)
        # The forwarded headers' names are secret, and an application may show its headers.
        scope["headers"] = others
        if isinstance(verdict, Refusal):
            scope[REFUSAL_KEY] = verdict
            self._metrics.refusal(verdict.code)
            await _refuse(scope, send, verdict.code.status, _MESSAGES[verdict.code.status])
            return
        self._metrics.client_lives.came(verdict, now)
        scope[SCOPE_KEY] = verdict
        scope.setdefault("state", {})[STATE_KEY] = self._pools
        await self._application(scope, receive, send)


class UnavailableMiddleware:
    """Answers 503 for an application that could not reach the database and has not answered yet."""

    def __init__(self, application: ASGIApp) -> None:
        """Wrap an application."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._application(scope, receive, watched)
        except DatabaseUnavailableError as error:
            _log.warning("%s", error)
            if begun:
                raise
            headers = [
                (name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()
            ]
            await answer_json(send, error.status_code, {"error": error.detail}, headers)


async def answer_json(
    send: Send, status: int, content: Mapping[str, Any], headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send a whole answer of the gateway itself: a small JSON document that nobody may cache."""
    body = json.dumps(content).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": message})
        return
    await answer_json(send, status, {"error": message})
