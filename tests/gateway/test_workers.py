"""The workers of one gateway are one gateway: their document, health, limits and metrics."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

from gateway import limits, summed_metrics, workers
from gateway.answer_transport import MOST_BYTES, TogetherTransport
from gateway.caller import SCOPE_KEY, Caller
from gateway.client_lives import ClientLives
from gateway.control_channel import Channel
from gateway.database import MAX_POOL_SIZE, RolePools, Share
from gateway.document import AllowedIdentity, GatewayDocument
from gateway.in_flight import InFlight, shared_memory
from gateway.limits import LimitsMiddleware
from gateway.metrics import Metrics
from gateway.middleware import answer_json
from gateway.worker_process import WorkerError, WorkerProcess
from pgpasswordless.connections import RoleConnection
from tests.emulator.rds.conftest import eventually
from tests.gateway.asgi import request
from tests.gateway.certificates import Authority
from tests.gateway.forwarding import SUFFIX, URI, database, document, forwarded
from tests.gateway.running_database import caller
from tests.gateway.test_process import NOW, ROOT, Process, client, gateway, listening, write

OTHER = "spiffe://example.test/orders"

WHO = """
import json, os

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    body = json.dumps({"pid": os.getpid()}).encode()
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})
"""


def of(*uris: str, issuer: Authority) -> GatewayDocument:
    return document(
        issuer, identities=[AllowedIdentity(kind="uri", value=uri, role="reports") for uri in uris]
    )


@dataclass
class Two:
    """A gateway of two workers."""

    process: Process
    path: Path
    issuer: Authority

    def ask(
        self, connection: http.client.HTTPSConnection, path: str = "/", uri: str | None = URI
    ) -> tuple[int, Any]:
        """An answer on a connection, which belongs to one worker."""
        headers = [] if uri is None else forwarded(client(self.issuer, uris=[uri]))[1:]
        connection.request("GET", path, headers={name.decode(): value.decode() for name, value in headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def each(self) -> dict[int, http.client.HTTPSConnection]:
        """A connection to each worker, by its process."""
        found: dict[int, http.client.HTTPSConnection] = {}

        def whole() -> bool:
            connection = self.process.connection()
            pid = self.ask(connection)[1]["pid"]
            if found.setdefault(pid, connection) is not connection:
                connection.close()
            return len(found) == 2

        eventually(whole)
        return found

    def count(self, sample: str) -> float:
        (line,) = [line for line in self.process.metrics().splitlines() if line.startswith(sample)]
        return float(line.rsplit(" ", 1)[1])


@pytest.fixture(scope="module")
def issuer() -> Authority:
    return Authority.root(now=NOW)


@pytest.fixture(scope="module")
def two(issuer: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    (folder / "who.py").write_text(WHO)
    path = folder / "document.json"
    write(path, of(URI, OTHER, issuer=issuer))
    with gateway(
        *("--document", str(path), "--application=who:application", "--workers=2"),
        environment={"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
    ) as process:
        listening(process)
        yield Two(process, path, issuer)


def running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def test_there_is_one_set_of_metrics(two: Two) -> None:
    connections = two.each()
    samples = {
        'pgpasswordless_gateway_requests_total{status="2xx"}': 6,
        'pgpasswordless_gateway_requests_total{status="4xx"}': 4,
        'pgpasswordless_gateway_refusals_total{code="missing-header"}': 4,
        "pgpasswordless_gateway_request_seconds_count": 10,
    }
    before = {sample: two.count(sample) for sample in samples}
    for connection in connections.values():
        assert [two.ask(connection)[0] for _ in range(3)] == [200] * 3
        assert [two.ask(connection, uri=None)[0] for _ in range(2)] == [401] * 2
    assert {sample: two.count(sample) - before[sample] for sample in samples} == samples
    # What the supervisor alone counts is there once.
    assert two.count('pgpasswordless_gateway_documents_total{outcome="adopted"}') == 1
    assert two.count("pgpasswordless_gateway_document_is_current") == 1


def test_head_and_body_of_an_answer_are_one_tls_record(two: Two) -> None:
    headers = b"".join(b"%s: %s\r\n" % header for header in forwarded(client(two.issuer)))
    connection = two.process.connection()
    connection.connect()
    with connection.sock as found:
        for path in (b"/", b"/healthz", b"/readyz"):
            found.sendall(b"GET %s HTTP/1.1\r\n%s\r\n" % (path, headers))
            # One call returns what one record holds.
            head, _, body = found.recv(65_536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert json.loads(body)


class Sent:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.parts.append(data)

    def close(self) -> None:
        self.parts.append(b"closed")


def test_what_is_written_in_one_turn_is_sent_at_its_end_and_much_at_once() -> None:
    async def run() -> list[bytes]:
        sent = Sent()
        transport = TogetherTransport(sent, asyncio.get_running_loop())  # type: ignore[arg-type]
        for part in (b"head", b"body"):
            transport.write(part)
        assert sent.parts == []
        await asyncio.sleep(0)
        assert sent.parts == [b"headbody"]
        transport.write(b"a")
        transport.write(bytes(MOST_BYTES))
        assert sent.parts[1:] == [b"a" + bytes(MOST_BYTES)]
        transport.write(b"last")
        transport.close()
        await asyncio.sleep(0)
        return sent.parts[2:]

    assert asyncio.run(run()) == [b"last", b"closed"]


def test_nothing_secret_is_on_a_command_line_or_in_an_environment(two: Two) -> None:
    for pid in (two.process.popen.pid, *two.each()):
        for name in ("cmdline", "environ"):
            assert SUFFIX.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_all_workers_follow_the_document(two: Two) -> None:
    connections = two.each()
    assert [two.ask(each, uri=OTHER)[0] for each in connections.values()] == [200, 200]
    write(two.path, of(URI, issuer=two.issuer))
    for connection in connections.values():
        eventually(lambda connection=connection: two.ask(connection, uri=OTHER)[0] == 403)
    serials = {two.ask(each, "/readyz")[1]["document"]["serial"] for each in connections.values()}
    assert serials == {json.loads(two.path.read_text())["serial"]}
    # And back, with another client beside.
    write(two.path, of(URI, OTHER, f"{URI}/new", issuer=two.issuer))
    for connection in connections.values():
        eventually(lambda connection=connection: two.ask(connection, uri=f"{URI}/new")[0] == 200)
        assert two.ask(connection, uri=OTHER)[0] == 200


def test_a_worker_that_is_killed_comes_back_and_health_says_so_meanwhile(two: Two) -> None:
    connections = two.each()
    (dead, _), (alive, connection) = connections.items()
    eventually(lambda: two.ask(connection, "/healthz")[0] == 200)
    counted = two.count('pgpasswordless_gateway_requests_total{status="4xx"}')
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: two.ask(connection, "/healthz")[0] == 503)
    status, told = two.ask(connection, "/readyz")
    assert (status, told["reasons"]) == (503, ["of 2 workers 1 not serving"])
    assert two.ask(connection) == (200, {"pid": alive})
    eventually(lambda: two.ask(connection, "/healthz")[0] == 200)
    pids = set(two.each())
    assert alive in pids
    assert dead not in pids
    assert two.count("pgpasswordless_gateway_worker_ends_total") == 1
    assert two.count('pgpasswordless_gateway_requests_total{status="4xx"}') >= counted
    (error,) = [each for each in two.process.events() if each.get("level") == "error"]
    assert f"(process {dead}) ended by SIGKILL; it is started again in 1 s" in error["message"]


@pytest.mark.long
def test_a_worker_that_does_not_answer_is_seen(two: Two) -> None:
    (silent, _), (_, connection) = two.each().items()
    os.kill(silent, signal.SIGSTOP)
    try:
        eventually(lambda: two.ask(connection, "/healthz")[0] == 503)
        assert two.ask(connection, "/healthz")[1]["reasons"] == ["of 2 workers 1 not answering"]
    finally:
        os.kill(silent, signal.SIGCONT)
    eventually(lambda: two.ask(connection, "/healthz")[0] == 200)


def test_workers_end_with_their_supervisor_and_leave_the_port(two: Two) -> None:
    pids = list(two.each())
    two.process.popen.kill()
    for pid in pids:
        eventually(lambda pid=pid: not running(pid))


# Without processes.


def test_a_caller_has_one_limit_over_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS_OF_A_CALLER", 3)
    monkeypatch.setattr(limits, "MAX_REQUESTS", 4)
    memory = shared_memory(2)
    own = [InFlight(memory, worker) for worker in range(2)]
    for each in own:
        each.number([("uri", caller(role).identity_value) for role in ("orders", "reports")])

    async def run() -> None:
        release = asyncio.Event()

        async def waits(scope: Any, receive: Any, send: Any) -> None:
            await release.wait()
            await answer_json(send, 200, {})

        def come(worker: int, who: Caller) -> asyncio.Task[Any]:
            limited = LimitsMiddleware(waits, in_flight=own[worker], metrics=Metrics())

            async def known(scope: Any, receive: Any, send: Any) -> None:
                await limited({**scope, SCOPE_KEY: who}, receive, send)

            return asyncio.create_task(request(known))

        reports, orders = caller("reports"), caller("orders")
        # All on one worker, then on the other: the limit is the machine's, not a share of it.
        waiting = [come(0, reports) for _ in range(3)]
        await asyncio.sleep(0)
        assert [(await come(worker, reports)).status for worker in (0, 1)] == [429, 429]
        waiting.append(come(1, orders))
        await asyncio.sleep(0)
        assert [(await come(worker, orders)).status for worker in (0, 1)] == [503, 503]
        # A worker that ends with its requests leaves room.
        own[0].clear()
        again = [come(1, reports) for _ in range(3)]
        await asyncio.sleep(0)
        assert (await come(1, reports)).status == 429
        release.set()
        assert {(await each).status for each in (waiting[3], *again)} == {200}

    asyncio.run(run())


@pytest.mark.parametrize(("connections", "workers_"), [(10, 2), (10, 3), (3, 2), (10, 1), (1, 4), (10, 64)])
def test_workers_divide_the_connections_of_a_role(connections: int, workers_: int) -> None:
    shares = [Share(worker=worker, workers=workers_).of(connections) for worker in range(workers_)]
    assert sum(shares) == connections
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(("limit", "sizes"), [(-1, [5, 5]), (3, [2, 1]), (50, [5, 5])])
def test_a_pool_is_as_large_as_its_share(limit: int, sizes: list[int]) -> None:
    roles = {"reports": RoleConnection(database="app", connect_arn="arn:x", connection_limit=limit)}

    async def size(worker: int) -> int:
        pools = RolePools(metrics=Metrics(), share=Share(worker=worker, workers=2))
        try:
            await pools.adopt(database("reports", roles=roles))
            return (await pools._opened("reports")).pool.max_size
        finally:
            await pools.close()

    assert [asyncio.run(size(worker)) for worker in range(2)] == sizes
    assert sum(sizes) <= MAX_POOL_SIZE


def samples(found: list[Metric]) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.collect = lambda: found  # type: ignore[method-assign]
    lines = generate_latest(registry).decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line[0] != "#"}


def test_metrics_are_added_up_and_what_an_ended_worker_counted_stays() -> None:
    def worker(number: int) -> list[Metric]:
        registry = CollectorRegistry()
        Counter("requests", "all", ["status"], registry=registry).labels("2xx").inc(number)
        Gauge("connections", "open", registry=registry).set(number)
        Histogram("seconds", "time", buckets=(1, 2), registry=registry).observe(number)
        return summed_metrics.metrics(json.loads(json.dumps(summed_metrics.snapshot(registry))))

    one, two = worker(1), worker(2)
    both = samples(summed_metrics.summed([one, two]))
    assert both['requests_total{status="2xx"}'] == 3
    assert both["connections"] == 3
    assert [both[f'seconds_bucket{{le="{le}"}}'] for le in ("1.0", "2.0", "+Inf")] == [1, 2, 2]
    assert both["seconds_sum"] == 3
    created = 'requests_created{status="2xx"}'
    assert both[created] == samples(one)[created]
    left = samples(summed_metrics.summed([summed_metrics.lasting(one), two]))
    assert left['requests_total{status="2xx"}'] == 3
    assert left["connections"] == 2


def test_the_certificate_that_came_last_counts_whichever_worker_saw_it() -> None:
    first, second, all_ = ClientLives(), ClientLives(), ClientLives()
    begins = NOW.timestamp()
    renewed = [("uri", URI, begins, begins + 100, begins + 20)]
    first.merge([("uri", URI, begins - 90, begins + 10, begins)])
    second.merge(renewed)
    all_.merge(second.since(0))
    all_.merge(first.since(0))
    assert all_.since(0) == renewed
    assert first.since(begins + 1) == []
    assert all_.shortest(begins) == 1


@pytest.mark.parametrize(
    ("script", "how"),
    [("exit 7", "with status 7"), ("kill -SEGV $$", "by SIGSEGV"), ("exit 0", "with status 0")],
    ids=["status", "signal", "success"],
)
def test_how_a_worker_ended_is_told_and_it_answers_nothing_more(script: str, how: str) -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        with theirs, subprocess.Popen(["sh", "-c", script], pass_fds=[theirs.fileno()]) as process:
            theirs.close()
            worker = WorkerProcess(process, await Channel.over(ours))
            assert await worker.ended() == how
            with pytest.raises(WorkerError, match=f"process {process.pid} has ended"):
                await worker.ask("state", seconds=60)

    asyncio.run(run())


def test_what_ends_again_and_again_is_started_less_often() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(workers.pause(pauses[-1], 0.1))
    assert pauses[1:] == [1, 2, 4, 8, 16, 30, 30]
    assert workers.pause(30, workers.STEADY_SECONDS + 1) == 1
