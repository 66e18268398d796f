"""One JSON line per request, with the caller and the outcome."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.caller import SCOPE_KEY, Caller
from gateway.health import ALIVE_PATH
from gateway.metrics import Metrics
from gateway.middleware import REFUSAL_KEY
from gateway.refusals import Refusal

REQUEST_ID_KEY = "pgpasswordless.request_id"
"""Key of the request's id in the scope."""

_ID = re.compile(rb"[A-Za-z0-9._:=;/+-]{1,128}")
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


class AccessLog:
    """Writes a line for each request that it passes on, and gives the request an id.

    The id is the caller's `X-Request-Id`, or else the load balancer's `X-Amzn-Trace-Id`, or else our own;
    it is returned as `X-Request-Id`. The query string is not logged, since it may hold secrets.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        write: Callable[[str], object],
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Wrap an application.

        Args:
            application: handles the requests.
            write: writes a line, which ends in a newline.
            metrics: counts requests.
            clock: seconds since 1970, for the line.
        """
        self._application = application
        self._write = write
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        scope[REQUEST_ID_KEY] = request_id.decode("ascii")
        begun = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._application(scope, receive, watched)
        except Exception:
            # The server answers 500 when an application raises.
            status = status or 500
            raise
        finally:
            seconds = time.perf_counter() - begun
            self._metrics.request(status, seconds)
            # Load balancers send health checks every few seconds, from every zone.
            if scope["path"] != ALIVE_PATH or status != 200:
                self._write(_ENCODER.encode(self._line(scope, status, seconds)) + "\n")

    def _line(self, scope: Scope, status: int, seconds: float) -> dict[str, Any]:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds"),
            "event": "request",
            "requestId": scope[REQUEST_ID_KEY],
            "method": scope["method"],
            "path": scope["path"][:1024],
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
        }
        caller: Caller | None = scope.get(SCOPE_KEY)
        refusal: Refusal | None = scope.get(REFUSAL_KEY)
        if caller is not None:
            line |= {
                "serial": caller.serial,
                "identityKind": caller.identity_kind,
                "identity": caller.identity_value,
                "role": caller.role,
            }
        elif refusal is not None:
            line |= {"refusal": refusal.code.value, "detail": refusal.detail}
            if refusal.serial is not None:
                line |= {"serial": refusal.serial, "subject": refusal.subject}
        return line


def _request_id(headers: list[tuple[bytes, bytes]]) -> bytes:
    given = trace = None
    for name, value in headers:
        if name == b"x-request-id":
            given = given or value
        elif name == b"x-amzn-trace-id":
            trace = trace or value
    for each in (given, trace):
        if each is not None and _ID.fullmatch(each):
            return each
    return secrets.token_hex(16).encode()
