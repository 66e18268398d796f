"""HTTP between a client and the targets: one connection of a client, request after request.

Statuses are those of Elastic Load Balancing, "Troubleshoot your Application Load Balancers": 400 for a
malformed request or headers beyond the limits, 405 for TRACE, 408 for a client that is too slow, 414 for a
request line beyond its limit, 463 for too many forwarded addresses, 502 for a target that fails, 503 when
there is no target, 504 for a target that is too slow. There is no HTTP/2 and no WebSocket. Our own
answers end the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import h11

from emulator.elb.data_plane.access_log import Access
from emulator.elb.data_plane.client_tls import TlsStream
from emulator.elb.data_plane.desync import classify, handling
from emulator.elb.data_plane.forwarded_request import (
    MOST_FORWARDED_ADDRESSES,
    Forwarding,
    Header,
    end_to_end,
    forwarded,
    forwarded_addresses,
    new_trace,
)
from emulator.elb.data_plane.targets import Member, Targets
from emulator.elb.data_plane.upstream import Upstream, UpstreamFailed, header_bytes

LONGEST_REQUEST_LINE = 16 * 1024
LONGEST_HEADER = 16 * 1024
LONGEST_HEAD = 64 * 1024
SERVER = "awselb/2.0"
_VERSION = b"1.1"
_REASONS: Mapping[int, str] = {460: "Client Closed Request", 463: "Too Many Forwarded Addresses"}


class Refusal(Exception):
    """A request that no target answers.

    Attributes:
        status: The status of the answer, if the client still reads, and of the log's line.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ClientConnection:
    """A client's connection after its handshake.

    Args:
        forwarding: What its requests depend on.
        targets: Where requests go; the present ones, whatever the connection began with.
        log: Takes lines of the access log.
    """

    def __init__(
        self, stream: TlsStream, forwarding: Forwarding, targets: Targets, log: Callable[[str], None]
    ) -> None:
        self._stream = stream
        self._forwarding = forwarding
        self._load_balancer = forwarding.configuration.load_balancer
        self._targets = targets
        self._log = log
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        self._access = Access(forwarding=self._forwarding)

    async def serve(self) -> None:
        """Answers until either side ends the connection."""
        ends = time.monotonic() + self._load_balancer.client_keep_alive
        while await self._serve_one() and time.monotonic() < ends:
            self._http.start_next_cycle()

    async def _serve_one(self) -> bool:
        """One request and its line in the log; whether another may follow."""
        self._access = Access(forwarding=self._forwarding)
        request = None
        goes_on = False
        try:
            request = await self._receive()
            if not isinstance(request, h11.Request):
                return False
            goes_on = await self._answer(request)
        except Refusal as failed:
            if request is None and failed.status in {408, 460} and not self._http.trailing_data[0]:
                # A connection that merely rested is closed without a word.
                return False
            await self._refuse(failed.status)
        except OSError:
            # The client is gone in the middle of the answer.
            self._access.status = self._access.status or 460
        self._access.finished = datetime.now(UTC)
        self._log(self._access.line())
        return goes_on and (self._http.our_state, self._http.their_state) == (h11.DONE, h11.DONE)

    async def _receive(self) -> h11.Event | type[h11.PAUSED]:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self._send(
                        h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                    )
                async with asyncio.timeout(self._load_balancer.idle_timeout):
                    data = await self._stream.read()
                self._access.received_bytes += len(data)
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise Refusal(400 if error.error_status_hint in {400, 431} else error.error_status_hint) from None
        except TimeoutError:
            raise Refusal(408) from None
        except OSError:
            raise Refusal(460) from None
        return event  # pyright: ignore[reportReturnType] - NEED_DATA never gets here

    async def _answer(self, request: h11.Request) -> bool:
        """Answers a request that was read; whether the connection may go on."""
        access = self._access
        access.created = datetime.now(UTC)
        access.verdict = classify(request.method, request.http_version, list(request.headers))
        self._describe(request)
        handled = handling(access.verdict, self._load_balancer.desync_mitigation_mode)
        refusal = 400 if handled == "block" else _refusal(request)
        if refusal is not None:
            raise Refusal(refusal)
        access.action = "forward"
        access.target_group_arn = self._targets.arn
        return await self._forward(request) and handled == "route"

    async def _forward(self, request: h11.Request) -> bool:
        began = time.monotonic()
        member, upstream = await self._connect()
        self._access.target = str(member.target)
        try:
            return await self._exchange(request, upstream, began)
        finally:
            self._targets.release(member, upstream)

    async def _connect(self) -> tuple[Member, Upstream]:
        """A connection for a request of which nothing was sent yet."""
        tried: list[Member] = []
        status = 503
        idle_seconds = self._load_balancer.idle_timeout
        while (member := self._targets.choose(tried)) is not None:
            try:
                return member, await self._targets.connect(member, idle_seconds)
            except TimeoutError:
                status = 504
            except OSError:
                status = 502
            tried.append(member)
        raise Refusal(status)

    async def _exchange(self, request: h11.Request, upstream: Upstream, began: float) -> bool:
        """Sends the request, with its body while it comes, and hands the answer on while it comes."""
        pump = asyncio.create_task(self._send_request(request, upstream))
        head = asyncio.create_task(_response_head(upstream))
        try:
            response = await self._await_head(pump, head, began)
            whole = await self._relay(response, upstream)
            # An answer may be complete before the request is; the rest of that is of no use to anybody.
            return whole and pump.done() and pump.exception() is None
        finally:
            await _end(head)
            await _end(pump)

    async def _await_head(
        self, pump: asyncio.Task[None], head: asyncio.Task[h11.Response], began: float
    ) -> h11.Response:
        sent = began
        await asyncio.wait((pump, head), return_when=asyncio.FIRST_COMPLETED)
        if not head.done():
            pump.result()
            sent = time.monotonic()
            # A target has its time from when it knows the whole request.
            await asyncio.wait((head,), timeout=self._load_balancer.idle_timeout)
            if not head.done():
                raise Refusal(504)
        try:
            response = head.result()
        except TimeoutError:
            raise Refusal(504) from None
        except (UpstreamFailed, OSError):
            raise Refusal(502) from None
        self._access.request_seconds = sent - began
        self._access.target_seconds = time.monotonic() - sent
        self._access.response_seconds = 0.0
        return response

    async def _send_request(self, request: h11.Request, upstream: Upstream) -> None:
        """Sends the head and then the body; a target that stops reading may have answered already.

        Raises:
            Refusal: The client did not send its request to the end.
        """
        raw = _raw_headers(request)
        chunked = any(name.lower() == b"transfer-encoding" for name, _ in raw)
        trace = new_trace(int(time.time()))
        if not _value(raw, b"host"):
            # HTTP/1.0 knows requests without.
            raw.append((b"Host", self._access.target.encode()))
        headers = forwarded(raw, self._forwarding, chunked=chunked, trace=trace)
        self._access.trace_id = _value(headers, b"x-amzn-trace-id")
        sending = True
        event: h11.Event | type[h11.PAUSED] = h11.Request(
            method=request.method, target=request.target, headers=headers, http_version=_VERSION
        )
        while True:
            try:
                if sending and isinstance(event, h11.Request | h11.Data | h11.EndOfMessage):
                    async with asyncio.timeout(self._load_balancer.idle_timeout):
                        await upstream.send(event)
            except (OSError, h11.LocalProtocolError):
                sending = False
            if isinstance(event, h11.EndOfMessage):
                return
            event = await self._receive()
            if not isinstance(event, h11.Data | h11.EndOfMessage):
                raise Refusal(400)

    async def _relay(self, response: h11.Response, upstream: Upstream) -> bool:
        """Hands an answer on; whether it came to its end."""
        access = self._access
        access.status = access.target_status = response.status_code
        headers = self._with_own(end_to_end(_raw_headers(response)))
        await self._send(
            h11.Response(status_code=response.status_code, headers=headers, reason=bytes(response.reason))
        )
        try:
            while True:
                async with asyncio.timeout(self._load_balancer.idle_timeout):
                    event = await upstream.receive()
                if isinstance(event, h11.EndOfMessage):
                    await self._send(h11.EndOfMessage())
                    return True
                if isinstance(event, h11.Data):
                    await self._send(h11.Data(data=event.data))
        except (UpstreamFailed, h11.LocalProtocolError, TimeoutError):
            # Its beginning was sent; all that can be said now is that the connection is over.
            return False

    def _with_own(self, headers: list[Header]) -> list[Header]:
        """The headers of a response with those that the listener gives to every one."""
        own = self._forwarding.configuration.listener.response_headers
        replaced = {name.lower().encode() for name in own}
        return [
            *((name, value) for name, value in headers if name.lower() not in replaced),
            *((name.encode(), value.encode()) for name, value in own.items()),
        ]

    async def _refuse(self, status: int) -> None:
        """Answers with an error of our own, if the client can still be answered."""
        if self._access.status is not None:
            return
        self._access.status = status
        if status == 460 or self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        reason, own, body = error_answer(status)
        headers = [*self._with_own(own), (b"Connection", b"close")]
        # The client may have gone.
        with contextlib.suppress(OSError):
            await self._send(h11.Response(status_code=status, headers=headers, reason=reason))
            if self._access.method != "HEAD":
                await self._send(h11.Data(data=body))
            await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._access.sent_bytes += len(data)
            async with asyncio.timeout(self._load_balancer.idle_timeout):
                await self._stream.write(data)

    def _describe(self, request: h11.Request) -> None:
        access = self._access
        host = _header(request, b"host")
        target = request.target.decode("latin-1")
        access.method = request.method.decode("latin-1")
        access.version = f"HTTP/{request.http_version.decode('latin-1')}"
        access.user_agent = _header(request, b"user-agent") or "-"
        access.host = host.rpartition(":")[0] or host or "-"
        authority = host if ":" in host else f"{host}:{self._forwarding.connection.listener_port}"
        absolute = not target.startswith("/")
        access.url = target if absolute else f"https://{authority}{target}"


def error_answer(status: int) -> tuple[str, list[Header], bytes]:
    """Reason phrase, headers and body of an error of the load balancer's own."""
    reason = _REASONS.get(status) or HTTPStatus(status).phrase
    body = (
        f"<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {reason}</h1></center>\r\n</body>\r\n</html>\r\n"
    ).encode()
    headers = [(b"Server", SERVER.encode()), (b"Content-Type", b"text/html")]
    return reason, [*headers, (b"Content-Length", str(len(body)).encode())], body


def _refusal(request: h11.Request) -> int | None:
    """The status for a request beyond the limits."""
    if request.method in {b"TRACE", b"CONNECT"}:
        return 405
    line = len(request.method) + len(request.target) + len(b"  HTTP/1.1")
    sizes = header_bytes(request)
    if line > LONGEST_REQUEST_LINE:
        return 414
    if max(sizes, default=0) > LONGEST_HEADER or line + sum(sizes) > LONGEST_HEAD:
        return 400
    if forwarded_addresses(list(request.headers)) > MOST_FORWARDED_ADDRESSES:
        return 463
    return None


async def _response_head(upstream: Upstream) -> h11.Response:
    while True:
        event = await upstream.receive()
        if isinstance(event, h11.Response):
            return event
        if not isinstance(event, h11.InformationalResponse):
            raise UpstreamFailed("a body without a head")


def _raw_headers(message: h11.Request | h11.Response) -> list[Header]:
    """The headers with their names as they were spelt."""
    return [(bytes(name), bytes(value)) for name, value in message.headers.raw_items()]


def _header(request: h11.Request, wanted: bytes) -> str:
    return _value(list(request.headers), wanted)


def _value(headers: list[Header], wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in headers if name.lower() == wanted), "")


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        # Looked at, so that asyncio does not complain that nobody did.
        task.exception()
