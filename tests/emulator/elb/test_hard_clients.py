"""Clients and targets that are slow, leave early or come in numbers."""

from __future__ import annotations

import random
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from emulator.elb.model import Target


def _connect(listener: Any, context: ssl.SSLContext | None) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", listener.port), timeout=20)
    return plain if context is None else context.wrap_socket(plain, server_hostname="localhost")


def _rest(connection: socket.socket) -> bytes:
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer


def test_a_client_that_says_nothing_is_let_go(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target(), idle_timeout=0.2))
    with _connect(listener, None) as silent:
        assert silent.recv(100) == b""
    assert sandbox.connection()["tls_verify_status"] == "Failed:UnmappedConnectionError"
    with _connect(listener, sandbox.context(sandbox.app)) as idle:
        assert idle.recv(100) == b""
    assert sandbox.connection()["tls_verify_status"] == "Success"
    assert sandbox.accesses.empty()


@pytest.mark.parametrize(
    "begun", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nx"], ids=["head", "body"]
)
def test_a_client_that_stops_in_the_middle_of_a_request_is_told_408(sandbox: Any, begun: bytes) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target(), idle_timeout=0.3))
    with _connect(listener, sandbox.context(sandbox.app)) as client:
        client.sendall(begun)
        assert _rest(client).startswith(b"HTTP/1.1 408 ")
    assert sandbox.access()["elb_status_code"] == "408"


def test_a_client_that_leaves_in_the_middle_of_a_request_hurts_nobody(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    context = sandbox.context(sandbox.app)
    with _connect(listener, context) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
    logged = sandbox.access()
    assert logged["elb_status_code"] in {"400", "460"}
    assert sandbox.client(listener, context).ask().status == 200


def test_a_client_that_leaves_during_the_handshake_is_logged(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as client:
        client.sendall(b"\x16\x03\x01\x02\x00")
    assert sandbox.connection()["tls_verify_status"] == "Failed:UnmappedConnectionError"
    assert sandbox.client(listener, sandbox.context(sandbox.app)).ask().status == 200


def test_requests_that_come_at_once_are_answered_in_turn(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    with _connect(listener, sandbox.context(sandbox.app)) as client:
        client.sendall(
            b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
            b"GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        answer = _rest(client)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.index(b"/first") < answer.index(b"/second")


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    with _connect(listener, sandbox.context(sandbox.app)) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"abc")
        assert b'"body": 3' in _rest(client)


def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    answer = client.ask(method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert client.ask("/after").echo["path"] == "/after"


def test_an_old_client_without_a_host_is_served(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    with _connect(listener, sandbox.context(sandbox.app)) as client:
        client.sendall(b"GET /old HTTP/1.0\r\n\r\n")
        assert b"/old" in _rest(client)


def test_an_answer_without_length_reaches_the_client_whole_and_one_cut_off_does_not_pass_for_whole(
    sandbox: Any,
) -> None:
    answers = {
        b"/closed": b"HTTP/1.0 200 OK\r\n\r\n" + b"y" * 100_000,
        b"/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"/nonsense": b"220 mail.example\r\n",
        b"/early": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
        b"/large": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\nContent-Length: 0\r\n\r\n",
    }
    with _Raw(answers, sandbox.server_context()) as raw:
        listener = sandbox.listen(sandbox.configuration(raw.target))
        context = sandbox.context(sandbox.app)
        assert sandbox.client(listener, context).ask("/closed").body == b"y" * 100_000
        assert sandbox.client(listener, context).ask("/chunks").body == b"abc"
        with _connect(listener, context) as client:
            client.sendall(b"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = _rest(client)
        assert (b"Content-Length: 10" in answer, answer.endswith(b"abc")) == (True, True)
        assert sandbox.client(listener, context).ask("/nonsense").status == 502
        early = sandbox.client(listener, context)
        early.connection.putrequest("POST", "/early")
        early.connection.putheader("Content-Length", "1000000")
        early.connection.endheaders(b"x")
        response = early.connection.getresponse()
        assert (response.status, response.read()) == (401, b"no")
        assert sandbox.client(listener, context).ask("/large").status == 502


def test_many_clients_at_once_are_all_served(sandbox: Any) -> None:
    one, two = sandbox.target("one"), sandbox.target("two")
    listener = sandbox.listen(sandbox.configuration(one, two))
    context = sandbox.context(sandbox.app)

    def several(number: int) -> list[str]:
        client = sandbox.client(listener, context)
        return [client.ask(f"/{number}/{turn}").echo["path"] for turn in range(5)]

    with ThreadPoolExecutor(20) as pool:
        paths = list(pool.map(several, range(40)))
    assert paths == [[f"/{number}/{turn}" for turn in range(5)] for number in range(40)]


def test_updates_in_the_middle_of_traffic_lose_no_request(sandbox: Any) -> None:
    one, two = sandbox.target("one"), sandbox.target("two")
    both = sandbox.configuration(one, two)
    listener = sandbox.listen(both)
    context = sandbox.context(sandbox.app)
    over = threading.Event()

    def ask() -> list[int]:
        statuses = []
        while not over.is_set():
            statuses.append(sandbox.client(listener, context).ask().status)
        return statuses

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        for turn in range(10):
            listener.update(both if turn % 2 else sandbox.configuration(two, port=listener.port))
            sandbox.until(lambda: "initial" not in listener.target_health().values())
        over.set()
        statuses = [status for one_of in asked for status in one_of.result(timeout=60)]
    assert len(statuses) > 4
    assert set(statuses) == {200}


def test_nonsense_surprises_nobody(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    context = sandbox.context(sandbox.app)
    chance = random.Random(7)  # noqa: S311 - the same nonsense each time
    requests = (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET /?a=%20 HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\nX-Forwarded-For: a\r\n\r\n",
    )
    for turn in range(60):
        data = bytearray(requests[turn % 3])
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with _connect(listener, context) as client:
            client.sendall(data)
            # One leaves at once; the other says no more, and waits for the end.
            client.shutdown(socket.SHUT_WR if turn % 2 else socket.SHUT_RDWR)
            while turn % 2 and client.recv(65536):
                continue
        with _connect(listener, None) as raw:
            raw.sendall(bytes([22, 3, 1]) + chance.randbytes(300) if turn % 2 else bytes(data))
    assert sandbox.client(listener, context).ask().status == 200


class _Raw:
    """A target that answers by path with given bytes and then closes; all others are healthy."""

    def __init__(self, answers: dict[bytes, bytes], context: ssl.SSLContext) -> None:
        self._answers = answers
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.target = Target(host="127.0.0.1", port=self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> _Raw:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._context.wrap_socket(connection, server_side=True) as connection:
                path = connection.recv(65536).split(b" ")[1]
                answer = self._answers.get(path, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    continue
