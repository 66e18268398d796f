"""What callers of any ASGI application learn when it fails: that it did, and whether to ask again."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import DatabaseUnavailableError
from gateway.json_answer import answer

_log = logging.getLogger(__name__)


class UnavailableMiddleware:
    """Answers in the place of an application that raised before it answered."""

    def __init__(self, application: ASGIApp) -> None:
        """Stand before an application."""
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
            await answer(send, error.status_code, {"error": error.detail}, headers)
