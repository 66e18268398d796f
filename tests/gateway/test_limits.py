"""What callers can occupy, in this process and without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import limits, serving
from gateway.document import AllowedIdentity
from gateway.in_flight import InFlight, shared_memory
from gateway.limits import LimitsMiddleware
from gateway.metrics import Metrics
from gateway.middleware import answer_json
from tests.gateway.asgi import Answer, request
from tests.gateway.certificates import Authority
from tests.gateway.forwarding import URI, document, forwarded
from tests.gateway.test_application import NOW, Gateway, client, with_gateway

OTHER = "spiffe://example.test/orders"


@pytest.fixture(scope="module")
def issuer() -> Authority:
    return Authority.root(now=NOW)


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    """An application of Starlette that wants the whole body."""
    body = await Request(scope, receive).body()
    await answer_json(send, 200, {"length": len(body)})


def counts() -> InFlight:
    """Of one worker."""
    found = InFlight(shared_memory(1), 0)
    found.number([("uri", URI), ("uri", OTHER)])
    return found


async def never() -> Message:
    """A body that does not arrive."""
    return await asyncio.Future[Message]()


def of_two(issuer: Authority) -> Any:
    return document(
        issuer, identities=[AllowedIdentity(kind="uri", value=uri, role="reports") for uri in (URI, OTHER)]
    )


async def unfinished(
    gateway: Gateway, headers: Sequence[tuple[bytes, bytes]], number: int
) -> tuple[list[asyncio.Task[Answer]], list[Answer]]:
    """So many requests whose body does not arrive, and the answers to those that are not waited for."""
    tasks = [
        asyncio.create_task(request(gateway.application, headers=headers, receive=never))
        for _ in range(number)
    ]
    async with asyncio.timeout(30):
        while sum(task.done() for task in tasks) < number - limits.MAX_REQUESTS_OF_A_CALLER:
            await asyncio.sleep(0)
    return [task for task in tasks if not task.done()], [task.result() for task in tasks if task.done()]


def test_a_caller_that_does_not_finish_starves_neither_health_nor_others(issuer: Authority) -> None:
    async def use(gateway: Gateway) -> None:
        waiting, turned_away = await unfinished(gateway, forwarded(client(issuer)), 960)
        assert len(waiting) == limits.MAX_REQUESTS_OF_A_CALLER
        assert {answer.status for answer in turned_away} == {429}
        assert {answer.headers["connection"] for answer in turned_away} == {"close"}
        for path in ("/healthz", "/readyz"):
            assert [(await request(gateway.application, path)).status for _ in range(20)] == [200] * 20
        other = forwarded(client(issuer, uris=[OTHER]))
        assert (await request(gateway.application, headers=other)).status == 200
        # Another certificate of the same caller is no way around it.
        assert (await request(gateway.application, headers=forwarded(client(issuer)))).status == 429
        assert gateway.count('turned_away_total{limit="caller"}') == 661

        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert (await request(gateway.application, headers=forwarded(client(issuer)))).status == 200

    with_gateway(of_two(issuer), use, application=reads_all)


def test_all_callers_together_have_a_limit_and_health_is_apart(
    issuer: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS", 3)
    monkeypatch.setattr(limits, "MAX_REQUESTS_OF_A_CALLER", 2)

    async def use(gateway: Gateway) -> None:
        first, _ = await unfinished(gateway, forwarded(client(issuer)), 4)
        others = forwarded(client(issuer, uris=[OTHER]))
        second = asyncio.create_task(request(gateway.application, headers=others, receive=never))
        await asyncio.sleep(0)
        assert (await request(gateway.application, headers=others)).status == 503
        assert gateway.count('turned_away_total{limit="all"}') == 1
        assert (await request(gateway.application, "/healthz")).status == 200
        for task in (*first, second):
            task.cancel()
        await asyncio.wait([*first, second])

    with_gateway(of_two(issuer), use, application=reads_all)


async def begins_first(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize(
    ("application", "first", "status"),
    [(reads_all, None, 408), (reads_all, b"a", 408), (begins_first, b"a", 200)],
    ids=["no body", "a part of it", "an answer that has begun"],
)
def test_a_body_that_does_not_arrive_ends_its_request(
    issuer: Authority, application: ASGIApp, first: bytes | None, status: int
) -> None:
    parts = [] if first is None else [first]

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(), "more_body": True} if parts else await never()

    metrics = Metrics()

    async def use(gateway: Gateway) -> None:
        answer = await request(gateway.application, headers=forwarded(client(issuer)), receive=receive)
        assert answer.status == status
        assert b'turned_away_total{limit="body"} 1.0' in generate_latest(metrics.registry)

    limited = LimitsMiddleware(application, in_flight=counts(), metrics=metrics, body_seconds=0)
    with_gateway(of_two(issuer), use, application=limited)


def test_an_answer_may_take_longer_than_a_body(issuer: Authority) -> None:
    async def waits_for_the_end(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"whole"
        assert (await receive())["type"] == "http.disconnect"
        await answer_json(send, 200, {})

    messages: list[Message] = [{"type": "http.request", "body": b"whole", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    metrics = Metrics()

    async def use(gateway: Gateway) -> None:
        answer = await request(gateway.application, headers=forwarded(client(issuer)), receive=receive)
        assert answer.status == 200
        assert b'turned_away_total{limit="body"} 0.0' in generate_latest(metrics.registry)

    limited = LimitsMiddleware(waits_for_the_end, in_flight=counts(), metrics=metrics, body_seconds=0)
    with_gateway(of_two(issuer), use, application=limited)


def test_the_server_has_no_limit_that_health_checks_share() -> None:
    assert serving._configuration(reads_all).limit_concurrency is None
