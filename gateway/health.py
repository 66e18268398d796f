"""What load balancers and people ask without a certificate: is it alive, and is it ready."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.database import RolePools
from gateway.json_answer import answer
from gateway.live_document import LiveDocument

ALIVE_PATH = "/healthz"
READY_PATH = "/readyz"


class HealthMiddleware:
    """Answers exactly two paths; everything else goes on to what it wraps."""

    def __init__(
        self,
        application: ASGIApp,
        *,
        live: LiveDocument,
        pools: RolePools,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Answer before an application.

        Args:
            application: what answers all other paths.
            live: the document, which is needed to be ready.
            pools: the database, which is.
            clock: seconds since 1970.
        """
        self._application = application
        self._live = live
        self._pools = pools
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] in {ALIVE_PATH, READY_PATH}:
            if scope["method"] not in {"GET", "HEAD"}:
                await answer(send, 405, {"error": "method not allowed"}, [(b"allow", b"GET, HEAD")])
            elif scope["path"] == ALIVE_PATH:
                await answer(send, 200, {"status": "alive"})
            else:
                reasons = self.reasons()
                status = "not ready" if reasons else "ready"
                await answer(send, 503 if reasons else 200, {"status": status, "reasons": reasons})
            return
        await self._application(scope, receive, send)

    def reasons(self) -> list[str]:
        """Why callers cannot be served now; none when they can."""
        admission = self._live.admission
        if admission is None:
            return ["there is no document yet"]
        # Anybody can ask, so neither says whose role or list it is; the log does.
        reasons = []
        if admission.is_stale(self._clock()):
            reasons.append("a revocation list has ended")
        if self._pools.problems():
            reasons.append("the database lets a role not in")
        return reasons
