"""One HTTP request and its answer, free of any server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """A request as it came over the wire.

    Attributes:
        method: Upper case.
        target: Path and query exactly as sent, still percent-encoded: signatures cover these bytes.
        headers: In the order sent.
        body: All of it.
        client_port: TCP port on loopback that it came from; 0 where it did not come over the wire.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    client_port: int = 0

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def raw_path(self) -> str:
        """The path, percent-encoded."""
        return urlsplit(self.target).path if self.target.startswith("http") else self.target.partition("?")[0]

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.raw_path)

    @property
    def raw_query(self) -> str:
        """The query, percent-encoded."""
        return self.target.partition("?")[2]

    @property
    def query(self) -> dict[str, str]:
        """Query parameters, decoded; those without value are empty."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """An answer."""

    status: int
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
