"""Health checks, which need no certificate: whether the machine is alive, and whether it is ready.

A load balancer's check reaches one worker and means all of them, so each worker knows of the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.database import RolePools
from gateway.middleware import answer_json
from gateway.served_document import ServedDocument

ALIVE_PATH = "/healthz"
READY_PATH = "/readyz"


@dataclass(kw_only=True)
class MachineHealth:
    """What the supervisor tells each worker.

    Attributes:
        broken: which workers do not serve; empty when all do.
        unready: why a worker cannot serve callers.
    """

    broken: tuple[str, ...] = ("the workers have not begun",)
    unready: tuple[str, ...] = ()


class HealthMiddleware:
    """Answers exactly two paths and passes every other request on.

    Whether it is ready comes with the serial and the SHA-256 of the document in effect, which are not secret.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        served: ServedDocument,
        pools: RolePools,
        machine: MachineHealth,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Answer before an application.

        Args:
            application: what answers all other paths.
            served: the gateway is ready once it has a document,
            pools: and while no role's logins fail,
            machine: here and in all other workers.
            clock: seconds since 1970.
        """
        self._application = application
        self._served = served
        self._machine = machine
        self._pools = pools
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] in {ALIVE_PATH, READY_PATH}:
            if scope["method"] not in {"GET", "HEAD"}:
                await answer_json(send, 405, {"error": "method not allowed"}, [(b"allow", b"GET, HEAD")])
            elif scope["path"] == ALIVE_PATH:
                broken = self._machine.broken
                answer = {"status": "broken", "reasons": broken} if broken else {"status": "alive"}
                await answer_json(send, 503 if broken else 200, answer)
            else:
                own = reasons(self._served, self._pools, self._clock())
                all_reasons = list(dict.fromkeys([*self._machine.broken, *own, *self._machine.unready]))
                status = "not ready" if all_reasons else "ready"
                effect = self._served.in_effect
                answer = {"status": status, "reasons": all_reasons, "document": effect and asdict(effect)}
                await answer_json(send, 503 if all_reasons else 200, answer)
            return
        await self._application(scope, receive, send)


def reasons(served: ServedDocument, pools: RolePools, now: float) -> list[str]:
    """Why this process cannot serve callers at `now`, in seconds since 1970; empty when it can."""
    if served.admission is None:
        return ["there is no document yet"]
    # Anybody can ask, so the answer names neither role nor list; the log does.
    found = []
    if served.admission.is_stale(now):
        found.append("a revocation list has ended")
    if pools.problems():
        found.append("the database lets a role not in")
    return found
