"""Debian's archive, as this machine reaches it, and a stand-in of it that virtual machines reach by TLS."""

from __future__ import annotations

import http.client
import re
import subprocess
import urllib.parse
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from runtime.files import replace_file
from tests.debian.outages import Outages

_KEPT_HEADERS = ("Last-Modified", "ETag", "Location")
_SECONDS = 60.0


@cache
def host() -> str:
    """The host that this machine's apt gets Debian from, or else the one that debootstrap knows.

    Raises:
        LookupError: neither knows one.
    """
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Origin: Debian", "Created-By: Packages"]
    with suppress(FileNotFoundError):
        for site in subprocess.run(command, capture_output=True, text=True, check=False).stdout.split():
            return str(urllib.parse.urlsplit(site).hostname)
    with suppress(FileNotFoundError):
        debootstrap = Path("/usr/sbin/debootstrap").read_text()
        for mirror in re.findall(r'^DEF_MIRROR="(.*)"$', debootstrap, re.MULTILINE):
            return str(urllib.parse.urlsplit(mirror).hostname)
    raise LookupError(
        "neither apt's sources nor debootstrap (apt-get install debootstrap) name Debian's archive"
    )


class ArchiveRequest(BaseHTTPRequestHandler):
    """Hands a request on to the archive, and keeps packages for the next machine that asks.

    Attributes:
        kept: Folder of the packages.
    """

    protocol_version = "HTTP/1.1"
    host: str
    kept: Path
    outages: Outages

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name of the base class
        """Writes nothing."""

    def do_GET(self) -> None:
        if "apt" in self.outages:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        file = self.kept / urllib.parse.quote(self.path, safe="")
        is_package = "/pool/" in self.path
        if is_package and file.exists():
            self._answer(HTTPStatus.OK, file.read_bytes(), {})
            return
        archive = http.client.HTTPConnection(self.host, timeout=_SECONDS)
        since = self.headers.get("If-Modified-Since")
        archive.request("GET", self.path, headers={} if since is None else {"If-Modified-Since": since})
        answer = archive.getresponse()
        body = answer.read()
        archive.close()
        if is_package and answer.status == HTTPStatus.OK:
            self.kept.mkdir(parents=True, exist_ok=True)
            replace_file(file, body)
        headers = {name: value for name, value in answer.getheaders() if name in _KEPT_HEADERS}
        self._answer(answer.status, body, headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != HTTPStatus.NOT_MODIFIED:
            self.wfile.write(body)
