"""What the database's part of the gateway raises; applications may see it."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from gateway.errors import GatewayError


class DatabaseUnavailableError(GatewayError, HTTPException):
    """There is no connection to the database now; a later request may get one.

    Starlette and FastAPI answer it with 503 and Retry-After by themselves, since it is an
    HTTPException. `str()` tells what is wrong; the caller does not learn it.
    """

    def __init__(self, text: str, *, retry_after_seconds: int = 2) -> None:
        """Keep what is wrong, for the log, and when the caller may retry."""
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
