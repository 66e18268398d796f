"""ASGI middleware that lets nobody through but callers of the document, and says who they are.

What it wraps finds the caller in `scope` (`gateway.caller.caller`) and connections as the caller's role
through `gateway.database.connection`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.caller import SCOPE_KEY
from gateway.database import STATE_KEY, RolePools
from gateway.json_answer import answer
from gateway.live_document import LiveDocument
from gateway.metrics import Metrics
from gateway.refusals import Refusal

REFUSAL_KEY = "pgpasswordless.refusal"
"""Where the scope has the `Refusal` of a request that was refused, for the access log."""

_MESSAGES = {401: "unauthorized", 403: "forbidden"}
# RFC 6455, 7.4.1.
_POLICY_VIOLATION = 1008


class CertificateMiddleware:
    """Decides on every request by its forwarded certificate."""

    def __init__(
        self,
        application: ASGIApp,
        *,
        live: LiveDocument,
        pools: RolePools,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Guard an application.

        Args:
            application: what callers reach.
            live: the document that decides.
            pools: what `gateway.database.connection` takes connections from.
            metrics: told of refusals.
            clock: seconds since 1970.
        """
        self._application = application
        self._live = live
        self._pools = pools
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        admission = self._live.admission
        if admission is None:
            await _refuse(scope, send, 503, "not ready")
            return
        verdict, others = admission.examine(scope["headers"], self._clock())
        # The names are secret, and an application that shows its headers must not show them.
        scope["headers"] = others
        if isinstance(verdict, Refusal):
            scope[REFUSAL_KEY] = verdict
            self._metrics.refusal(verdict.code)
            await _refuse(scope, send, verdict.code.status, _MESSAGES[verdict.code.status])
            return
        scope[SCOPE_KEY] = verdict
        scope.setdefault("state", {})[STATE_KEY] = self._pools
        await self._application(scope, receive, send)


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": message})
        return
    await answer(send, status, {"error": message})
