"""HTTPS requests on persistent connections, at little cost; any answer but 200 is an error."""

from __future__ import annotations

import asyncio
import re
import sys
import time

import uvloop

from emulator.elb.data_plane.upstream import any_certificate
from sandbox.bench.load.messages import HttpLoad, LoadResult, print_result

_LENGTH = re.compile(rb"content-length: (\d+)")


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, until: float) -> None:
        self.good = self.bad = 0
        self.ended = asyncio.get_running_loop().create_future()
        self._request, self._until, self._received = request, until, b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        is_good, self._received = head.startswith(b"HTTP/1.1 200"), b""
        self.good += is_good
        self.bad += not is_good
        if time.monotonic() < self._until:
            self._transport.write(self._request)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.bad += exc is not None or time.monotonic() < self._until
        self.ended.set_result(None)


async def _run(load: HttpLoad) -> LoadResult:
    lines = [f"GET {load.path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in load.headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode("ascii")
    start, context = time.monotonic(), any_certificate()
    clients = [_Client(request, start + load.seconds) for _ in range(load.clients)]
    connect = asyncio.get_running_loop().create_connection
    await asyncio.gather(
        *(connect(lambda each=each: each, "127.0.0.1", load.port, ssl=context) for each in clients)
    )
    await asyncio.gather(*(each.ended for each in clients))
    good, bad = sum(each.good for each in clients), sum(each.bad for each in clients)
    return LoadResult(count=good, errors=bad, seconds=time.monotonic() - start)


if __name__ == "__main__":
    print_result(uvloop.run(_run(HttpLoad.model_validate_json(sys.stdin.read()))))
