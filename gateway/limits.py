"""ASGI middleware: how much of the gateway its callers can occupy, each of them and all together."""

from __future__ import annotations

import asyncio
from typing import final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.caller import caller
from gateway.in_flight import InFlight
from gateway.metrics import Metrics
from gateway.middleware import answer_json

MAX_REQUESTS = 900
"""Requests of all callers that are in the application at the same time, in all workers of a machine."""
MAX_REQUESTS_OF_A_CALLER = 300
"""Those of one caller, whatever its certificate."""
BODY_SECONDS = 60.0
"""How long a request's body may take, from when the application first asks for it."""

# What is not read any more must not keep the connection open.
_CLOSE = (b"connection", b"close")


class LimitsMiddleware:
    """Lets a caller have so many requests in the application, and a body so much time.

    Stands behind the check of the certificate: what is refused there occupies nothing, and health checks do
    not come here.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        in_flight: InFlight,
        metrics: Metrics,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """Limit an application.

        Args:
            application: what callers reach.
            in_flight: counts the requests of all workers.
            metrics: counts what is turned away.
            body_seconds: how long a request's body may take.
        """
        self._application = application
        self._metrics = metrics
        self._body_seconds = body_seconds
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        who = caller(scope)
        column = self._in_flight.column((who.identity_kind, who.identity_value))
        of_caller, of_all = self._in_flight.enter(column)
        try:
            if of_caller <= MAX_REQUESTS_OF_A_CALLER and of_all <= MAX_REQUESTS:
                await self._answer(scope, receive, send)
                return
        finally:
            # Before a refusal is sent: who does not read it must occupy nothing.
            self._in_flight.leave(column)
        is_callers = of_caller > MAX_REQUESTS_OF_A_CALLER
        self._metrics.turned_away("caller" if is_callers else "all")
        status = 429 if is_callers else 503
        await answer_json(send, status, {"error": "too many requests at the same time"}, [_CLOSE])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, begun = _Body(receive, self._body_seconds), False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._application(scope, body.receive, watched)
        except Exception:
            if begun or not body.is_late:
                raise
        if body.is_late:
            self._metrics.turned_away("body")
            if not begun:
                await answer_json(send, 408, {"error": "the request took too long"}, [_CLOSE])


@final
class _Body:
    """A request's messages; once its body is late, the client counts as gone."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._seconds = seconds
        self._end: float | None = None
        self._is_whole = False
        self.is_late = False

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        if self._end is None:
            self._end = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._receive()
        except TimeoutError:
            self.is_late = True
            return {"type": "http.disconnect"}
        self._is_whole = not message.get("more_body", False)
        return message
