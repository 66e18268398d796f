"""One request to the gateway with mutual TLS, on a connection of its own."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pgpasswordless.identity_files import IdentityFiles

TIMEOUT_SECONDS = 15
MAX_BODY = 1_000_000
_HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        body: at most `MAX_BODY` bytes.
        tls_version: such as `TLSv1.3`.
        cipher: its name.
    """

    status: int
    body: bytes = field(repr=False)
    tls_version: str
    cipher: str


def address(url: str) -> tuple[str, int, str]:
    """Host, port and path of an https URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _HTTPS, parts.path or "/"


def get(
    url: str,
    *,
    root_certificate: Path | None,
    files: IdentityFiles | None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """GET `url`.

    Args:
        url: https, with its path.
        root_certificate: file of the authorities that are trusted; None for the machine's own.
        files: certificate and key to present; None for a call without any.
        headers: further ones.

    Raises:
        OSError: there is no connection, or the handshake was refused (`ssl.SSLError`).
        http.client.HTTPException: the answer is not HTTP.
    """
    host, port, path = address(url)
    context = ssl.create_default_context(cafile=str(root_certificate) if root_certificate else None)
    if files is not None:
        context.load_cert_chain(files.certificate, files.key)
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
    try:
        connection.connect()
        secured = connection.sock
        version, cipher = secured.version(), secured.cipher()
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(
            status=response.status,
            body=response.read(MAX_BODY),
            tls_version=version or "",
            cipher=cipher[0] if cipher else "",
        )
    finally:
        connection.close()
