"""What surrounds a virtual machine: stand-ins for what EC2 and Debian give it, in a namespace of its own.

    <second address of the subnet>:53   names; the user network of qemu sends what comes there to its host's
                                        resolver, so a machine has its own at RESOLVER
    169.254.169.254:80                  instance metadata
    169.254.169.123:123                 time
    AWS:443                             every host of AWS, handed on to the sandbox
    ARCHIVE:443                         Debian's archive

Nothing leaves the namespace but what these hand on.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.debian import authority, image
from tests.debian.archive import ArchiveRequest
from tests.debian.image import Image
from tests.debian.instance import Instance
from tests.debian.metadata import MetadataRequest
from tests.debian.namespace import Namespace
from tests.debian.outages import Outages
from tests.debian.relay import relay

RESOLVER = "198.18.0.53"
_METADATA = "169.254.169.254"
_TIME = "169.254.169.123"
_AWS = "198.18.0.1"
_ARCHIVE = "198.18.0.2"
_ADDRESSES = (RESOLVER, _METADATA, _TIME, _AWS, _ARCHIVE)
_LOOPBACK = "127.0.0.1"
_EPOCH_OF_NTP = 2208988800
_DATAGRAM = 2048


def surround(folder: Path, made_of: Image) -> Namespace:
    """Everything that the machine of a folder reaches, from now on and for as long as this process lives."""
    instance = Instance.load(folder)
    outages = Outages(folder / "outages")
    namespace = Namespace(_ADDRESSES)
    tls = authority.server_context(made_of.folder)
    sandbox = urllib.parse.urlsplit(instance.aws).port
    relay(
        namespace.listen(_AWS, 443),
        lambda: socket.create_connection((_LOOPBACK, sandbox or 0), 30),
        tls=tls,
        away=lambda: "aws" in outages,
    )
    shared = {"outages": outages}
    archive_request = {"host": image.hosts()[0], "kept": made_of.packages, **shared}
    _serve(namespace.listen(_ARCHIVE, 443), ArchiveRequest, archive_request, tls)
    metadata_request = {"instance": staticmethod(lambda: Instance.load(folder)), **shared}
    _serve(namespace.listen(_METADATA, 80), MetadataRequest, metadata_request)
    _answer(namespace.bind(RESOLVER, 53), _resolve, lambda: "dns" in outages)
    _answer(namespace.bind(_TIME, 123), _tell_time, lambda: "time" in outages)
    for outer in instance.forwarded:
        # qemu listens at the same port inside.
        relay(
            socket.create_server((_LOOPBACK, outer), backlog=64),
            lambda port=outer: namespace.connect(_LOOPBACK, port),
        )
    if instance.rds:
        relay(
            namespace.listen(_AWS, instance.rds),
            lambda: socket.create_connection((_LOOPBACK, instance.rds), 10),
        )
    return namespace


class _Server(ThreadingHTTPServer):
    """Serves on a socket that listens already, over TLS or not."""

    def __init__(
        self, listener: socket.socket, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None
    ) -> None:
        socketserver.TCPServer.__init__(self, listener.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the thread of the connection: a slow handshake holds up nobody else.
        with suppress(OSError):
            ours = request if self._tls is None else self._tls.wrap_socket(request, server_side=True)
            super().finish_request(ours, client_address)


def _serve(
    listener: socket.socket,
    handler: type[BaseHTTPRequestHandler],
    attributes: dict[str, Any],
    tls: ssl.SSLContext | None = None,
) -> None:
    server = _Server(listener, type(handler.__name__, (handler,), attributes), tls)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _answer(bound: socket.socket, answer: Callable[[bytes], bytes | None], away: Callable[[], bool]) -> None:
    """Answer datagrams, while it is not away."""

    def work() -> None:
        while True:
            question, client = bound.recvfrom(_DATAGRAM)
            found = None if away() else answer(question)
            if found is not None:
                bound.sendto(found, client)

    threading.Thread(target=work, daemon=True).start()


def _resolve(query: bytes) -> bytes:
    """RFC 1035: the address of a stand-in, or that there is no such name."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
        at += query[at] + 1
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    address = _address(labels)
    answers = [socket.inet_aton(address)] if address and kind == 1 else []
    header = struct.pack("!HHHHH", 0x8180 if address else 0x8183, 1, len(answers), 0, 0)
    records = (b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + each for each in answers)
    return query[:2] + header + query[12 : at + 5] + b"".join(records)


def _address(labels: Sequence[str]) -> str | None:
    if labels[-2:] == ["amazonaws", "com"]:
        return _AWS
    return _ARCHIVE if ".".join(labels) in image.hosts() else None


def _tell_time(question: bytes) -> bytes | None:
    """RFC 5905: this host's time, as a server of stratum 1."""
    if len(question) < 48:
        return None
    now = time.time() + _EPOCH_OF_NTP
    stamp = struct.pack("!II", int(now), int(now % 1 * 2**32))
    header = struct.pack("!BBbb", 0x24, 1, 0, -20) + bytes(8) + b"AMZN"
    return header + stamp + question[40:48] + stamp + stamp
