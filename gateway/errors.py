"""Errors of the gateway that somebody is expected to meet; no text holds a secret."""

from __future__ import annotations

from starlette.exceptions import HTTPException


class GatewayError(Exception):
    """Base of them all."""


class DocumentError(GatewayError):
    """The gateway's document cannot be had, or it cannot be lived by."""


class ApplicationError(GatewayError):
    """The ASGI application that the machine's file names cannot be had."""


class DatabaseUnavailableError(GatewayError, HTTPException):
    """The database gives no connection now; asking again later may help.

    Starlette and FastAPI answer it with 503 and Retry-After by themselves, since it is an
    HTTPException; the caller does not learn what is wrong, which `str()` says.
    """

    def __init__(self, text: str, *, retry_after_seconds: int = 2) -> None:
        """Keep what is wrong, for the log, and when to ask again."""
        HTTPException.__init__(
            self,
            status_code=503,
            detail="the database is not available",
            headers={"Retry-After": str(retry_after_seconds)},
        )
        self.text = text

    def __str__(self) -> str:
        """What is wrong, for the log."""
        return self.text
