"""What a listener answers itself: fixed responses, redirects and its own errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import urlsplit

from emulator.elb.data_plane.configuration import FixedResponse, Redirect

SERVER = "awselb/2.0"
_PLACEHOLDER = re.compile(r"#\{(protocol|host|port|path|query)\}")
_REASONS: Mapping[int, str] = MappingProxyType(
    {460: "Client Closed Request", 463: "Too Many Forwarded Addresses"}
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response of the load balancer's own.

    Attributes:
        status: Of HTTP.
        reason: Phrase.
        headers: All but those about the connection.
        body: In full.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def fixed(action: FixedResponse) -> Answer:
    """Of a fixed response."""
    return _answer(action.status, action.body.encode(), (("Content-Type", action.content_type),))


def error(status: int) -> Answer:
    """What the load balancer says when something is wrong."""
    reason = _reason(status)
    page = (
        f"<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {reason}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return _answer(status, page.encode(), (("Content-Type", "text/html"),))


def redirect(action: Redirect, location: str) -> Answer:
    """Of a redirect to where `redirect_location` says."""
    return _answer(action.status, b"", (("Content-Type", "text/html"), ("Location", location)))


def redirect_location(action: Redirect, *, protocol: str, host: str, port: int, target: str) -> str:
    """Where a redirect leads.

    Args:
        action: See there.
        protocol: Of the request.
        host: Its Host header.
        port: The listener's.
        target: What the request asked for.

    Raises:
        ValueError: The Host header or what was asked for is none.
    """
    asked = urlsplit(target)
    name = urlsplit(f"//{host}").hostname or ""
    values = {
        "protocol": protocol,
        "host": f"[{name}]" if ":" in name else name,
        "port": str(port),
        "path": asked.path.removeprefix("/"),
        "query": asked.query,
    }
    query = _filled(action.query, values)
    address = f"{action.protocol.lower()}://{action.host}:{action.port}{action.path}"
    return _filled(address, values) + (f"?{query}" if query else "")


def _filled(text: str, values: Mapping[str, str]) -> str:
    # In one pass: what a client sent is never looked at for placeholders.
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _answer(status: int, body: bytes, headers: tuple[tuple[str, str], ...]) -> Answer:
    own = (("Server", SERVER), *headers, ("Content-Length", str(len(body))))
    return Answer(status=status, reason=_reason(status), headers=own, body=body)


def _reason(status: int) -> str:
    if status in _REASONS:
        return _REASONS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
