"""The application inside the gateway's middleware, without a server."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.application import application as shipped
from gateway.caller import caller
from gateway.config_watcher import ConfigWatcher
from gateway.database import RolePools
from gateway.database_error import DatabaseUnavailableError
from gateway.document import AllowedIdentity, GatewayDocument
from gateway.document_source import FoundDocument
from gateway.errors import DocumentError, ReportError
from gateway.health import MachineHealth
from gateway.in_flight import InFlight, shared_memory
from gateway.metrics import Metrics
from gateway.middleware import answer_json
from gateway.report import Report
from gateway.serving import guarded
from gateway.verdict import Admission
from tests.gateway.asgi import request
from tests.gateway.certificates import Authority
from tests.gateway.forwarding import OTHER_SUFFIX, SUFFIX, URI, document, forwarded, values

# The application takes the time from the clock of the machine.
NOW = datetime.now(UTC).replace(microsecond=0)


class Published:
    """A source to which a test publishes documents."""

    interval_seconds = 0.01

    def __init__(self, *, content: GatewayDocument | str | None = None) -> None:
        self.content = content
        self.version = 1

    def publish(self, content: GatewayDocument | str) -> None:
        self.content, self.version = content, self.version + 1

    def fetch(self, known: str | None) -> FoundDocument | None:
        if self.content is None:
            raise DocumentError("nothing is published")
        if known == str(self.version):
            return None
        text = self.content if isinstance(self.content, str) else self.content.to_json()
        return FoundDocument(text=text.encode(), version=str(self.version))


@dataclass(kw_only=True)
class Gateway:
    """A gateway in this process."""

    source: Published
    watcher: ConfigWatcher
    pools: RolePools
    machine: MachineHealth
    metrics: Metrics
    application: ASGIApp
    lines: list[str] = field(default_factory=list)

    def line(self) -> dict[str, Any]:
        """The last line of the access log."""
        return json.loads(self.lines[-1])

    def count(self, sample: str) -> float:
        found = [
            line
            for line in generate_latest(self.metrics.registry).decode().splitlines()
            if sample in line and line[0] != "#"
        ]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Shows what an application can see of its caller."""
    who = caller(scope)
    headers = [name.decode() for name, _ in scope["headers"]]
    await answer_json(send, 200, {"role": who.role, "serial": who.serial, "headers": headers})


def with_gateway(
    content: GatewayDocument | str | None,
    use: Callable[[Gateway], Awaitable[Any]],
    *,
    application: ASGIApp = echo,
    session: Any = None,
) -> Any:
    async def run() -> Any:
        metrics = Metrics()
        pools = RolePools(metrics=metrics, **({"session": session} if session else {}))
        metrics.observe_pools(pools.states)
        source = Published(content=content)
        in_flight = InFlight(shared_memory(1), 0)

        async def adopt(_: FoundDocument, admission: Admission) -> None:
            await pools.adopt(admission.document.database)
            in_flight.number((each.kind, each.value) for each in admission.document.identities)

        watcher = ConfigWatcher(source, adopt=adopt, metrics=metrics)
        machine = MachineHealth(broken=())
        lines: list[str] = []
        whole = guarded(
            application,
            served=watcher,
            pools=pools,
            in_flight=in_flight,
            machine=machine,
            metrics=metrics,
            write=lines.append,
        )
        try:
            if content is not None:
                await watcher.refresh()
            return await use(
                Gateway(
                    source=source,
                    watcher=watcher,
                    pools=pools,
                    machine=machine,
                    metrics=metrics,
                    application=whole,
                    lines=lines,
                )
            )
        finally:
            await pools.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def issuer() -> Authority:
    return Authority.root(now=NOW)


def client(issuer: Authority, **changes: Any) -> Any:
    arguments = {"uris": [URI], "begins": NOW - timedelta(days=1), "ends": NOW + timedelta(days=1)}
    return issuer.client(**{**arguments, **changes})


def test_a_caller_reaches_the_application_as_its_role(issuer):
    certificate = client(issuer)

    async def use(gateway):
        found = await request(gateway.application, "/anything", forwarded(certificate))
        assert found.status == 200
        assert found.json()["role"] == "reports"
        assert found.json()["serial"] == values(certificate)["serial_number"]

    with_gateway(document(issuer), use)


def test_the_application_never_sees_the_secret_names(issuer):
    async def use(gateway):
        headers = [*forwarded(client(issuer)), (b"accept", b"*/*")]
        found = await request(gateway.application, "/", headers)
        assert found.json()["headers"] == ["host", "accept"]
        assert SUFFIX.encode() not in found.body
        assert SUFFIX not in "".join(gateway.lines)

    with_gateway(document(issuer), use)


def test_a_refused_caller_learns_no_reason_and_the_log_does(issuer):
    stranger = Authority.root(now=NOW)

    async def use(gateway):
        found = await request(gateway.application, "/", forwarded(client(stranger)))
        assert (found.status, found.json()) == (401, {"error": "unauthorized"})
        assert gateway.line()["refusal"] == "untrusted"
        assert gateway.count('refusals_total{code="untrusted"}') == 1
        found = await request(gateway.application, "/", forwarded(client(issuer, uris=[URI + "x"])))
        assert (found.status, found.json()) == (403, {"error": "forbidden"})
        assert gateway.line()["refusal"] == "unmapped"
        assert URI + "x" in gateway.line()["detail"]
        found = await request(gateway.application, "/", [])
        assert found.status == 401
        assert gateway.line()["refusal"] == "missing-header"

    with_gateway(document(issuer), use)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_load_balancers_ask_without_a_certificate(issuer, path):
    async def use(gateway):
        assert (await request(gateway.application, path)).status == 200
        assert (await request(gateway.application, path, method="POST")).status == 405

    with_gateway(document(issuer), use)


@pytest.mark.parametrize(
    "path", ["/healthz/", "/healthz/x", "/Healthz", "/readyz.json", "/metrics", "//healthz"]
)
def test_nothing_else_is_reached_without_a_certificate(issuer, path):
    async def use(gateway):
        assert (await request(gateway.application, path)).status == 401

    with_gateway(document(issuer), use)


def test_it_is_alive_and_not_ready_before_there_is_a_document(issuer):
    async def use(gateway):
        assert (await request(gateway.application, "/healthz")).status == 200
        found = await request(gateway.application, "/readyz")
        assert (found.status, found.json()["reasons"]) == (503, ["there is no document yet"])
        assert (await request(gateway.application, "/", forwarded(client(issuer)))).status == 503
        gateway.source.publish(document(issuer))
        await gateway.watcher.refresh()
        assert (await request(gateway.application, "/readyz")).status == 200
        assert (await request(gateway.application, "/", forwarded(client(issuer)))).status == 200

    with_gateway(None, use)


def test_it_is_not_ready_once_a_revocation_list_has_ended(issuer):
    stale = issuer.revocation_list(begins=NOW - timedelta(days=2), ends=NOW - timedelta(days=1))

    async def use(gateway):
        found = await request(gateway.application, "/readyz")
        assert (found.status, found.json()["reasons"]) == (503, ["a revocation list has ended"])

    with_gateway(document(issuer, revocation_lists=(stale,)), use)


def test_a_new_document_counts_from_the_next_request_on_for_remembered_callers_too(issuer):
    certificate, other = client(issuer), client(issuer)
    begins, ends = NOW - timedelta(hours=1), NOW + timedelta(days=1)

    async def use(gateway):
        assert (await request(gateway.application, "/", forwarded(certificate))).status == 200
        revoking = issuer.revocation_list(certificate, begins=begins, ends=ends)
        gateway.source.publish(document(issuer, revocation_lists=(revoking,)))
        assert await gateway.watcher.refresh()
        assert (await request(gateway.application, "/", forwarded(certificate))).status == 401
        assert gateway.line()["refusal"] == "revoked"
        assert (await request(gateway.application, "/", forwarded(other))).status == 200
        gateway.source.publish(
            document(issuer, identities=[AllowedIdentity(kind="uri", value=URI, role="orders")])
        )
        assert await gateway.watcher.refresh()
        assert (await request(gateway.application, "/", forwarded(other))).json()["role"] == "orders"
        gateway.source.publish(document(issuer, header_suffixes=(OTHER_SUFFIX,)))
        assert await gateway.watcher.refresh()
        assert (await request(gateway.application, "/", forwarded(other))).status == 401
        assert (await request(gateway.application, "/", forwarded(other, suffix=OTHER_SUFFIX))).status == 200

    with_gateway(document(issuer), use)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("", "Invalid JSON"),
        ("{}", "serial: Field required"),
        ('{"headerSuffixes": ["0123456789abcdef01234567", 1]}', "headerSuffixes.1"),
    ],
    ids=["empty", "no fields", "wrong types"],
)
def test_a_bad_document_never_replaces_a_good_one_and_shows_no_suffix(issuer, bad, words):
    async def use(gateway):
        gateway.source.publish(bad)
        with pytest.raises(DocumentError, match=words) as refused:
            await gateway.watcher.refresh()
        assert SUFFIX not in str(refused.value)
        assert gateway.watcher.admission is not None
        assert (await request(gateway.application, "/", forwarded(client(issuer)))).status == 200

    with_gateway(document(issuer), use)


def test_a_document_whose_certificates_are_bad_never_replaces_a_good_one(issuer):
    stranger = Authority.root(now=NOW)

    async def use(gateway):
        gateway.source.publish(document(issuer, revocation_lists=(stranger.revocation_list(),)))
        with pytest.raises(DocumentError, match="no authority of clientAuthorities signed it"):
            await gateway.watcher.refresh()
        assert (await request(gateway.application, "/", forwarded(client(issuer)))).status == 200

    with_gateway(document(issuer), use)


@pytest.mark.parametrize(
    ("serial", "words"),
    [
        (9, "document 9 is older than 10, which is in effect"),
        (1, "document 1 is older than 10"),
        (10, "has the serial 10 of the one in effect, and another content"),
    ],
    ids=["older", "oldest", "equal"],
)
def test_a_document_that_is_not_newer_admits_nobody(issuer: Authority, serial: int, words: str) -> None:
    """Restored by somebody who may write the object: the revoked client stays out."""
    certificate, other = client(issuer), client(issuer)
    revoking = issuer.revocation_list(
        certificate, begins=NOW - timedelta(hours=1), ends=NOW + timedelta(days=1)
    )
    current = document(issuer, serial=10, revocation_lists=(revoking,))

    async def use(gateway: Gateway) -> None:
        gateway.source.publish(document(issuer, serial=serial))
        with pytest.raises(DocumentError, match=words):
            await gateway.watcher.refresh()
        assert gateway.watcher.refused is not None
        assert (await request(gateway.application, "/", forwarded(certificate))).status == 401
        assert (await request(gateway.application, "/", forwarded(other))).status == 200
        # It is read and reported once, and forgotten when the stack's document is there again.
        assert not await gateway.watcher.refresh()
        assert gateway.watcher.refused is not None
        gateway.source.publish(current)
        assert not await gateway.watcher.refresh()
        assert gateway.watcher.refused is None
        gateway.source.publish(document(issuer, serial=11))
        assert await gateway.watcher.refresh()
        assert (await request(gateway.application, "/", forwarded(certificate))).status == 200

    with_gateway(current, use)


def test_the_certificate_that_ends_first_of_those_that_came_in_a_day_is_told(issuer: Authority) -> None:
    ending = client(issuer, begins=NOW - timedelta(days=89), ends=NOW + timedelta(days=1))
    renewed = client(issuer, begins=NOW - timedelta(days=30), ends=NOW + timedelta(days=30))
    stranger = client(
        issuer, uris=[f"{URI}/x"], begins=NOW - timedelta(days=99), ends=NOW + timedelta(days=1)
    )

    async def use(gateway: Gateway) -> None:
        lives, now = gateway.metrics.client_lives, NOW.timestamp()
        assert lives.shortest(now) is None
        await request(gateway.application, "/", forwarded(stranger))
        assert lives.shortest(now) is None
        await request(gateway.application, "/", forwarded(ending))
        assert lives.shortest(now) == pytest.approx(1 / 90)
        await request(gateway.application, "/", forwarded(renewed))
        assert lives.shortest(now) == pytest.approx(1 / 2)
        assert lives.shortest(now + timedelta(days=2).total_seconds()) is None

    with_gateway(document(issuer), use)


def test_it_reports_what_is_in_effect_and_what_is_refused_once_each(issuer: Authority) -> None:
    told: list[Report] = []

    async def use(gateway: Gateway) -> None:
        attempts = 0

        def report(what: Report) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise ReportError("not now")
            told.append(what)

        async def adopt(_: FoundDocument, admission: Admission) -> None:
            await gateway.pools.adopt(admission.document.database)

        watcher = ConfigWatcher(gateway.source, adopt=adopt, metrics=gateway.metrics, report=report)
        stop = asyncio.Event()
        following = asyncio.create_task(watcher.follow(stop))

        async def until(count: int) -> None:
            async with asyncio.timeout(30):
                while len(told) < count:
                    await asyncio.sleep(0)

        await until(1)
        old = document(issuer, serial=9)
        gateway.source.publish(old)
        await until(2)
        gateway.source.content = None
        gateway.source.publish(document(issuer, serial=11))
        await until(3)
        assert watcher.problem == ""
        gateway.source.content = None
        await until(4)
        assert watcher.problem == "nothing is published"
        stop.set()
        await following
        first, refusing, second, unfetched = told
        assert (first.serial, first.problem) == (10, "")
        assert (refusing.serial, refusing.sha256) == (first.serial, first.sha256)
        assert refusing.refused_sha256 == hashlib.sha256(old.to_json().encode()).hexdigest()
        assert refusing.problem.startswith("document 9 is older than 10")
        assert (second.serial, second.refused_sha256, second.problem) == (11, None, "")
        assert (unfetched.serial, unfetched.refused_sha256) == (11, None)
        assert unfetched.problem == "nothing is published"
        assert SUFFIX not in "".join(each.to_json() for each in told)

    with_gateway(document(issuer, serial=10), use)


def test_an_older_document_is_counted_as_refused(issuer: Authority) -> None:
    async def use(gateway: Gateway) -> None:
        stop = asyncio.Event()
        gateway.source.publish(document(issuer, serial=9))
        following = asyncio.create_task(gateway.watcher.follow(stop))
        async with asyncio.timeout(30):
            while not gateway.count('documents_total{outcome="refused"}'):
                await asyncio.sleep(0)
        assert gateway.count("document_is_current") == 0
        stop.set()
        await following

    with_gateway(document(issuer, serial=10), use)


def test_it_follows_its_source_until_it_is_stopped_and_through_errors(issuer):
    async def use(gateway):
        stop = asyncio.Event()
        following = asyncio.create_task(gateway.watcher.follow(stop))
        gateway.source.publish("{}")
        async with asyncio.timeout(30):
            while not gateway.count('documents_total{outcome="refused"}'):
                await asyncio.sleep(0)
        assert gateway.count("document_is_current") == 0
        gateway.source.publish(document(issuer, header_suffixes=(OTHER_SUFFIX,)))
        headers = forwarded(client(issuer), suffix=OTHER_SUFFIX)
        async with asyncio.timeout(30):
            while (await request(gateway.application, "/", headers)).status != 200:
                await asyncio.sleep(0)
        assert gateway.count("document_is_current") == 1
        stop.set()
        await following

    with_gateway(document(issuer), use)


def test_the_access_log_says_who_came_and_what_became_of_it(issuer):
    certificate = client(issuer)

    async def use(gateway):
        headers = [*forwarded(certificate), (b"x-request-id", b"abc-123")]
        found = await request(gateway.application, "/reports", headers, query=b"token=secret")
        assert found.headers["x-request-id"] == "abc-123"
        line = gateway.line()
        assert line.pop("time")
        assert line.pop("milliseconds") >= 0
        assert line == {
            "event": "request",
            "requestId": "abc-123",
            "method": "GET",
            "path": "/reports",
            "status": 200,
            "serial": values(certificate)["serial_number"],
            "identityKind": "uri",
            "identity": URI,
            "role": "reports",
        }

    with_gateway(document(issuer), use)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            [(b"x-amzn-trace-id", b"Root=1-67891233-abcdef012345678912345678")],
            "Root=1-67891233-abcdef012345678912345678",
        ),
        ([(b"x-amzn-trace-id", b"Root=1-2-3"), (b"x-request-id", b"mine")], "mine"),
        ([(b"x-request-id", b'a"\nb'), (b"x-amzn-trace-id", b"Root=1-2-3")], "Root=1-2-3"),
    ],
    ids=["trace id", "request id first", "unusable request id"],
)
def test_a_request_keeps_the_id_that_it_came_with(issuer, headers, expected):
    async def use(gateway):
        assert (await request(gateway.application, "/", headers)).headers["x-request-id"] == expected
        assert gateway.line()["requestId"] == expected

    with_gateway(document(issuer), use)


def test_requests_without_an_id_get_one_each(issuer):
    async def use(gateway):
        found = {(await request(gateway.application, "/")).headers["x-request-id"] for _ in range(10)}
        assert len(found) == 10

    with_gateway(document(issuer), use)


def test_a_line_of_the_log_stays_one_line_whatever_is_asked_for(issuer):
    async def use(gateway):
        await request(gateway.application, '/\n{"event":"request"}\u2028', [])
        assert gateway.lines[-1].count("\n") == 1
        assert gateway.lines[-1].isascii()

    with_gateway(document(issuer), use)


def test_load_balancers_probes_are_not_logged(issuer):
    async def use(gateway):
        await request(gateway.application, "/healthz")
        assert not gateway.lines

    with_gateway(document(issuer), use)


def test_a_websocket_of_somebody_unknown_is_closed(issuer):
    async def use(gateway):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "websocket.connect"}

        await gateway.application({"type": "websocket", "path": "/", "headers": []}, receive, send)
        assert sent == [{"type": "websocket.close", "code": 1008, "reason": "unauthorized"}]

    with_gateway(document(issuer), use)


def test_any_application_that_finds_no_database_answers_503(issuer):
    async def failing(scope, receive, send):
        raise DatabaseUnavailableError("no connection as 'reports': secret reason", retry_after_seconds=7)

    async def use(gateway):
        found = await request(gateway.application, "/", forwarded(client(issuer)))
        assert (found.status, found.headers["retry-after"]) == (503, "7")
        assert found.json() == {"error": "the database is not available"}
        assert gateway.line()["status"] == 503

    with_gateway(document(issuer), use, application=failing)


def test_a_request_that_makes_the_application_fail_is_in_the_log(issuer):
    async def failing(scope, receive, send):
        raise ZeroDivisionError

    async def use(gateway):
        with pytest.raises(ZeroDivisionError):
            await request(gateway.application, "/", forwarded(client(issuer)))
        assert gateway.line()["status"] == 500
        assert gateway.count('requests_total{status="5xx"}') == 1

    with_gateway(document(issuer), use, application=failing)


def test_whoami_says_as_whom_the_caller_came_and_whom_postgresql_sees(running, issuer):
    certificate = client(issuer)
    content = document(issuer, database=running.described(["reports"]))

    async def use(gateway):
        found = await request(gateway.application, "/whoami", forwarded(certificate))
        assert found.status == 200
        told = found.json()
        assert told["role"] == told["database"]["currentUser"] == "reports"
        assert told["serial"] == values(certificate)["serial_number"]
        assert told["identity"] == {"kind": "uri", "value": URI}
        assert told["database"]["applicationName"] == f"pgpasswordless-{told['serial']}"
        assert told["database"]["serverVersion"].startswith("17")
        assert gateway.count('database_logins_total{outcome="succeeded",role="reports"}') == 1
        assert gateway.count('database_connections{role="reports"') == 1
        assert (await request(gateway.application, "/nowhere", forwarded(certificate))).status == 404

    with_gateway(content, use, application=shipped, session=running.session)


def test_whoami_says_503_while_the_database_is_away(running, issuer):
    away = running.described(["reports"]).model_copy(update={"port": 1})

    async def use(gateway):
        found = await request(gateway.application, "/whoami", forwarded(client(issuer)))
        assert found.status == 503
        assert found.headers["retry-after"] == "2"
        assert found.json() == {"error": "the database is not available"}
        ready = await request(gateway.application, "/readyz")
        assert (ready.status, ready.json()["reasons"]) == (503, ["the database lets a role not in"])

    with_gateway(document(issuer, database=away), use, application=shipped, session=running.session)
