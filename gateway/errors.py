"""Errors of the gateway that somebody is expected to meet; no text holds a secret."""


class GatewayError(Exception):
    """Base of them all."""


class DocumentError(GatewayError):
    """The gateway's document cannot be had, or it cannot be lived by."""


class ApplicationError(GatewayError):
    """The ASGI application that the machine's file names cannot be had."""


class DatabaseUnavailableError(GatewayError):
    """The database gives no connection now; asking again later may help.

    Attributes:
        retry_after_seconds: when to ask again.
    """

    def __init__(self, text: str, *, retry_after_seconds: int = 2) -> None:
        """Keep what is wrong, for the log, and when to ask again."""
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds
