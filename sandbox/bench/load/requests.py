"""HTTPS requests on persistent connections; any answer but 200 is an error."""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop

from emulator.elb.data_plane.upstream import any_certificate
from sandbox.bench.load.messages import HttpLoad, LoadResult, print_result

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


async def _client(load: HttpLoad, request: bytes, until: float) -> tuple[int, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port, ssl=any_certificate())
    good = bad = 0
    try:
        while time.monotonic() < until:
            writer.write(request)
            head = await reader.readuntil(_HEAD_END)
            (length,) = (
                int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH)
            )
            await reader.readexactly(length)
            if head.startswith(b"HTTP/1.1 200"):
                good += 1
            else:
                bad += 1
    finally:
        writer.close()
    return good, bad


async def _run(load: HttpLoad) -> LoadResult:
    lines = [f"GET {load.path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in load.headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode("ascii")
    start = time.monotonic()
    found = await asyncio.gather(*(_client(load, request, start + load.seconds) for _ in range(load.clients)))
    return LoadResult(
        count=sum(good for good, _ in found),
        errors=sum(bad for _, bad in found),
        seconds=time.monotonic() - start,
    )


if __name__ == "__main__":
    print_result(uvloop.run(_run(HttpLoad.model_validate_json(sys.stdin.read()))))
