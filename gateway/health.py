"""Health checks, which need no certificate: whether the process is alive, and whether it is ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.config_watcher import ConfigWatcher
from gateway.database import RolePools
from gateway.middleware import answer_json

ALIVE_PATH = "/healthz"
READY_PATH = "/readyz"


class HealthMiddleware:
    """Answers exactly two paths and passes every other request on.

    Whether it is ready comes with the serial and the SHA-256 of the document in effect, which are not secret.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        watcher: ConfigWatcher,
        pools: RolePools,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Answer before an application.

        Args:
            application: what answers all other paths.
            watcher: the gateway is ready once it has a document,
            pools: and while no role's logins fail.
            clock: seconds since 1970.
        """
        self._application = application
        self._watcher = watcher
        self._pools = pools
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] in {ALIVE_PATH, READY_PATH}:
            if scope["method"] not in {"GET", "HEAD"}:
                await answer_json(send, 405, {"error": "method not allowed"}, [(b"allow", b"GET, HEAD")])
            elif scope["path"] == ALIVE_PATH:
                await answer_json(send, 200, {"status": "alive"})
            else:
                reasons = self.reasons()
                status = "not ready" if reasons else "ready"
                served = self._watcher.in_effect
                answer = {"status": status, "reasons": reasons, "document": served and asdict(served)}
                await answer_json(send, 503 if reasons else 200, answer)
            return
        await self._application(scope, receive, send)

    def reasons(self) -> list[str]:
        """Why callers cannot be served now; empty when they can."""
        admission = self._watcher.admission
        if admission is None:
            return ["there is no document yet"]
        # Anybody can ask, so the answer names neither role nor list; the log does.
        reasons = []
        if admission.is_stale(self._clock()):
            reasons.append("a revocation list has ended")
        if self._pools.problems():
            reasons.append("the database lets a role not in")
        return reasons
