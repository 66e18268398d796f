"""Errors of the gateway that users may see; no message holds a secret."""

from __future__ import annotations


class GatewayError(Exception):
    """Base of the gateway's errors."""


class DocumentError(GatewayError):
    """The gateway's document cannot be fetched, or it is invalid."""


class ReportError(GatewayError):
    """The instance cannot report which document it serves."""


class ApplicationError(GatewayError):
    """The ASGI application that the machine's file names cannot be loaded."""
