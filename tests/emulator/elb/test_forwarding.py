"""What reaches the targets, and what clients get back."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from emulator.elb.data_plane.forwarded_headers import (
    CHAIN,
    ISSUER,
    LEAF,
    SERIAL_NUMBER,
    SUBJECT,
    VALIDITY,
    encoded,
)
from emulator.elb.model import HealthCheck
from gateway.header_names import header_names


def test_the_certificate_is_forwarded_in_five_headers(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    answer = sandbox.client(listener, sandbox.context(sandbox.app)).ask("/whoami?x=1")
    own = sandbox.app.certificate
    assert answer.forwarded(LEAF) == [encoded(sandbox.app.pem)]
    assert answer.forwarded(SERIAL_NUMBER) == [_bytes(own.serial_number).hex().upper()]
    assert answer.forwarded(SUBJECT) == ["CN=app"]
    assert answer.forwarded(ISSUER) == ["CN=Clients"]
    begins, ends = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in _dates(own))
    assert answer.forwarded(VALIDITY) == [f"NotBefore={begins};NotAfter={ends}"]
    assert answer.forwarded(CHAIN) == []
    assert answer.echo["path"] == "/whoami?x=1"
    entry = sandbox.connection()
    assert entry["leaf_client_cert_serial_number"] == answer.forwarded(SERIAL_NUMBER)[0]
    assert entry["leaf_client_cert_validity"] == answer.forwarded(VALIDITY)[0]
    assert (entry["tls_protocol"], entry["listener_port"]) == ("TLSv1.3", str(listener.port))
    assert entry["conn_trace_id"] == sandbox.access()["conn_trace_id"]


def test_headers_are_called_what_the_listener_calls_them(sandbox: Any) -> None:
    names = header_names("0123456789abcdef01234567")
    prefix = "routing_http_request_x_amzn_mtls_clientcert"
    renamed = {
        f"{prefix}_{part}_header_name": getattr(names, part)
        for part in ("leaf", "serial_number", "issuer", "subject", "validity")
    }
    configuration = sandbox.configuration(sandbox.target(), **renamed)
    assert names.leaf not in repr(configuration)
    client = sandbox.client(sandbox.listen(configuration), sandbox.context(sandbox.app))
    answer = client.ask(headers=((SUBJECT, "CN=admin"),))
    assert answer.forwarded(names.subject) == ["CN=app"]
    assert answer.forwarded(names.leaf) == [encoded(sandbox.app.pem)]
    assert answer.forwarded(SUBJECT) == ["CN=admin"]


def test_headers_of_the_listeners_own_are_in_every_response_whatever_the_target_says(sandbox: Any) -> None:
    own = {"x-frame-options": "DENY", "strict-transport-security": "max-age=31536000"}
    fields = {f"routing_http_response_{name.replace('-', '_')}_header_value": own[name] for name in own}
    for targets, status in (((sandbox.target(),), 200), ((), 503)):
        configuration = sandbox.configuration(*targets, **fields)
        client = sandbox.client(sandbox.listen(configuration), sandbox.context(sandbox.app))
        answer = client.ask()
        assert answer.status == status
        seen = [(name.lower(), value) for name, value in answer.headers if name.lower() in own]
        assert sorted(seen) == sorted(own.items())


def test_headers_that_a_client_forges_reach_the_target_beside_the_true_ones(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    answer = client.ask(headers=((SUBJECT, "CN=admin"), (LEAF.lower(), "forged"), (CHAIN, "forged")))
    assert answer.forwarded(SUBJECT) == ["CN=admin", "CN=app"]
    assert answer.forwarded(LEAF) == ["forged", encoded(sandbox.app.pem)]
    assert answer.forwarded(CHAIN) == ["forged"]


def test_a_client_cannot_have_the_true_headers_dropped_as_belonging_to_the_connection(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    answer = client.ask(headers=(("Connection", f"keep-alive, {SUBJECT}, X-Mine"), ("X-Mine", "1")))
    assert answer.forwarded(SUBJECT) == ["CN=app"]
    assert answer.forwarded("X-Mine") == []


def test_passthrough_forwards_the_whole_chain_of_anybody_leaf_first(sandbox: Any) -> None:
    target = sandbox.target()
    listener = sandbox.listen(sandbox.configuration(target, mode="passthrough"))
    intermediate = sandbox.make.authority("Middle", issuer=sandbox.make.authority("Unknown"))
    stranger = sandbox.make.leaf(intermediate)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        answer = sandbox.client(listener, sandbox.context(stranger, version=version)).ask()
        assert answer.forwarded(CHAIN) == [encoded(stranger.chain_pem)]
        assert answer.forwarded(LEAF) == []
    without = sandbox.client(listener, sandbox.context()).ask()
    assert without.forwarded(CHAIN) == []


def test_a_chain_from_passthrough_larger_than_a_header_may_be_reaches_the_target_all_the_same(
    sandbox: Any,
) -> None:
    # The limit is on what clients send; the target's server has its own.
    target = sandbox.target()
    listener = sandbox.listen(sandbox.configuration(target, mode="passthrough"))
    large = sandbox.make.leaf(sandbox.make.authority("Unknown"), padding_bytes=20_000)
    answer = sandbox.client(listener, sandbox.context(large)).ask()
    assert answer.forwarded(CHAIN) == [encoded(large.chain_pem)]


def test_without_mutual_tls_nobody_is_asked_for_a_certificate(sandbox: Any) -> None:
    target = sandbox.target()
    listener = sandbox.listen(sandbox.configuration(target, mode="off"))
    answer = sandbox.client(listener, sandbox.context(sandbox.app)).ask()
    assert answer.forwarded(LEAF) == answer.forwarded(CHAIN) == []
    assert sandbox.connection()["leaf_client_cert_subject"] == "-"


def test_targets_learn_the_client_the_port_and_the_trace(sandbox: Any) -> None:
    configuration = sandbox.configuration(sandbox.target(), enable_tls_version_and_cipher_suite_headers=True)
    listener = sandbox.listen(configuration)
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    answer = client.ask(headers=(("X-Forwarded-For", "203.0.113.9"), ("X-Amzn-Trace-Id", "Root=1-a-b")))
    given, own = answer.forwarded("X-Forwarded-For")[0].split(", ")
    assert (given, own in {"127.0.0.1", "::1"}) == ("203.0.113.9", True)
    assert answer.forwarded("X-Forwarded-Proto") == ["https"]
    assert answer.forwarded("X-Forwarded-Port") == [str(listener.port)]
    fields = answer.forwarded("X-Amzn-Trace-Id")[0].split(";")
    assert (fields[0].partition("=")[0], fields[1]) == ("Self", "Root=1-a-b")
    assert answer.forwarded("X-Amzn-TLS-Version") == ["TLSv1.3"]
    assert answer.forwarded("X-Amzn-TLS-Cipher-Suite") == ["TLS_AES_128_GCM_SHA256"]


def test_header_names_beyond_letters_digits_and_hyphens_are_dropped_when_asked_for(sandbox: Any) -> None:
    target = sandbox.target()
    for drop, expected in ((True, []), (False, ["1"])):
        configuration = sandbox.configuration(target, drop_invalid_header_fields=drop)
        client = sandbox.client(sandbox.listen(configuration), sandbox.context(sandbox.app))
        answer = client.ask(headers=(("X_Under", "1"), ("X-Dash", "1")))
        assert answer.forwarded("X_Under") == expected
        assert answer.forwarded("X-Dash") == ["1"]


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_are_streamed_in_both_framings(sandbox: Any, chunked: bool) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    body = b"x" * 3_000_000
    answer = client.ask(
        "/", method="POST", body=iter([body[:1_000_000], body[1_000_000:]]) if chunked else body
    )
    assert answer.echo["body"] == len(body)
    assert client.ask().status == 200


def test_connections_to_client_and_target_are_used_again(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    upstream = {client.ask().echo["connection"] for _ in range(5)}
    assert len(upstream) == 1
    sandbox.connection()
    assert sandbox.connections.empty()


def test_a_new_configuration_holds_for_new_connections_and_existing_ones_go_on(sandbox: Any) -> None:
    target = sandbox.target()
    first = sandbox.configuration(target)
    listener = sandbox.listen(first)
    context = sandbox.context(sandbox.app)
    existing = sandbox.client(listener, context)
    assert existing.ask().status == 200
    revoked = sandbox.make.revocation_list(sandbox.clients, (sandbox.app,))
    listener.update(sandbox.configuration(target, revocation_lists=(revoked,), port=listener.port))
    assert existing.ask().status == 200
    with pytest.raises(ssl.SSLError):
        sandbox.client(listener, context).ask()
    assert sandbox.connection()["tls_verify_status"] == "Success"
    assert sandbox.connection()["tls_verify_status"] == "Failed:ClientCertCrlHit"
    other = sandbox.make.leaf(sandbox.clients)
    assert sandbox.client(listener, sandbox.context(other)).ask().status == 200


def test_when_one_of_two_targets_dies_clients_notice_nothing(sandbox: Any) -> None:
    one, two = sandbox.target("one"), sandbox.target("two")
    listener = sandbox.listen(sandbox.configuration(one, two))
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    assert {client.ask().echo["name"] for _ in range(4)} == {"one", "two"}
    one.health_status = 500
    sandbox.until(lambda: listener.target_health()[one.target] == "unhealthy")
    assert {client.ask().echo["name"] for _ in range(4)} == {"two"}
    one.health_status = 200
    sandbox.until(lambda: listener.target_health()[one.target] == "healthy")
    assert {client.ask().echo["name"] for _ in range(4)} == {"one", "two"}


def test_a_target_that_refuses_connections_is_left_out_before_its_health_check_says_so(sandbox: Any) -> None:
    one, two = sandbox.target("one"), sandbox.target("two")
    slow = HealthCheck(path="/healthz", interval=300)
    listener = sandbox.listen(sandbox.configuration(one, two, health_check=slow))
    one.end()
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    assert [client.ask().echo["name"] for _ in range(4)] == ["two"] * 4
    assert listener.target_health()[one.target] == "healthy"
    # A new health check is not held up by the interval of the old one.
    listener.update(sandbox.configuration(one, two, port=listener.port))
    sandbox.until(lambda: listener.target_health()[one.target] == "unhealthy")


def test_without_targets_the_answer_is_503_and_from_a_failing_one_502(sandbox: Any) -> None:
    target = sandbox.target()
    listener = sandbox.listen(sandbox.configuration())
    context = sandbox.context(sandbox.app)
    assert sandbox.client(listener, context).ask().status == 503
    listener.update(sandbox.configuration(target, port=listener.port))
    sandbox.until(lambda: listener.target_health() == {target.target: "healthy"})
    assert sandbox.client(listener, context).ask("/cut").status == 502
    assert sandbox.client(listener, context).ask().status == 200
    logged = [sandbox.access() for _ in range(3)]
    assert [entry["elb_status_code"] for entry in logged] == ["503", "502", "200"]
    assert [entry["target_status_code"] for entry in logged] == ["-", "-", "200"]


def test_a_target_that_never_answers_is_given_up_with_504(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target(), idle_timeout=0.5))
    context = sandbox.context(sandbox.app)
    assert sandbox.client(listener, context).ask("/silent").status == 504
    assert sandbox.client(listener, context).ask().status == 200


def test_a_deregistered_target_drains(sandbox: Any) -> None:
    one, two = sandbox.target("one"), sandbox.target("two")
    listener = sandbox.listen(sandbox.configuration(one))
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    assert client.ask().echo["name"] == "one"
    # A request that is half sent keeps the target busy.
    client.connection.putrequest("POST", "/")
    client.connection.putheader("Content-Length", "6")
    client.connection.endheaders(b"abc")
    assert one.posts.get(timeout=20) == "/"
    listener.update(sandbox.configuration(two, port=listener.port))
    sandbox.until(lambda: listener.target_health().get(two.target) == "healthy")
    assert listener.target_health()[one.target] == "draining"
    client.connection.send(b"def")
    response = client.connection.getresponse()
    assert json.loads(response.read())["name"] == "one"
    sandbox.until(lambda: one.target not in listener.target_health())
    assert client.ask().echo["name"] == "two"


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 17_000 + "\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n" + ("X: " + "x" * 10_000 + "\r\n") * 7 + "\r\n", 400),
        ("GET /" + "x" * 17_000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + "1.1.1.1, " * 31 + "\r\n\r\n", 463),
        ("not HTTP at all\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 15_000 + "\r\nConnection: close\r\n\r\n", 200),
    ],
    ids=[
        "long header",
        "long head",
        "long line",
        "no host",
        "two lengths",
        "length and chunks",
        "body of GET",
        "TRACE",
        "31 addresses",
        "no HTTP",
        "control",
    ],
)
def test_requests_beyond_the_limits_or_with_two_meanings_end_here(
    sandbox: Any, request_text: str, status: int
) -> None:
    configuration = sandbox.configuration(sandbox.target(), desync_mitigation_mode="strictest")
    listener = sandbox.listen(configuration)
    answer = _exchange(listener.port, sandbox.context(sandbox.app), request_text.encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(("mode", "answers"), [("monitor", 2), ("defensive", 1)])
def test_after_a_request_with_two_meanings_the_connection_ends_in_defensive_mode(
    sandbox: Any, mode: str, answers: int
) -> None:
    target = sandbox.target()
    listener = sandbox.listen(sandbox.configuration(target, desync_mitigation_mode=mode))
    requests = (
        b"GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    got = _exchange(listener.port, sandbox.context(sandbox.app), requests)
    assert got.count(b"HTTP/1.1 200 ") == answers


def test_plain_http_to_a_secure_listener_is_no_connection(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration())
    assert _exchange(listener.port, None, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == b""
    assert sandbox.connection()["tls_verify_status"] == "Failed:UnmappedConnectionError"


def test_both_addresses_of_localhost_answer(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    context = sandbox.context(sandbox.app)
    addresses = ["127.0.0.1", *(["::1"] if _has_ipv6() else [])]
    assert all(b"200" in _exchange(listener.port, context, request, host)[:15] for host in addresses)


def test_a_port_that_is_taken_is_named(sandbox: Any) -> None:
    taken = sandbox.listen(sandbox.configuration()).port
    with pytest.raises(OSError, match=str(taken)):
        sandbox.listen(sandbox.configuration(port=taken))


def test_after_its_end_a_listener_leaves_the_port_and_can_start_again(sandbox: Any) -> None:
    configuration = sandbox.configuration(sandbox.target())
    listener = sandbox.listen(configuration)
    client = sandbox.client(listener, sandbox.context(sandbox.app))
    assert client.ask().status == 200
    listener.stop()
    assert listener.target_health() == {}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener.port), timeout=20)
    listener.start()
    sandbox.until(lambda: set(listener.target_health().values()) == {"healthy"})
    assert sandbox.client(listener, sandbox.context(sandbox.app)).ask().status == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_an_answer(sandbox: Any) -> None:
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    certificate, key = sandbox.files(sandbox.app)
    root = sandbox.folder / "root.pem"
    root.write_text(sandbox.root.pem)
    files = ["--cacert", str(root), "--cert", str(certificate), "--key", str(key)]
    url = f"https://localhost:{listener.port}/"
    shown = subprocess.run(
        ["curl", "--silent", "--show-error", *files, url], capture_output=True, check=True, timeout=30
    )
    assert json.loads(shown.stdout)["name"] == "one"
    refused = subprocess.run(
        ["curl", "--silent", "--cacert", str(root), url], capture_output=True, check=False, timeout=30
    )
    assert (refused.returncode != 0, refused.stdout) == (True, b"")


def test_subjects_with_more_than_a_common_name_begin_with_the_most_specific(sandbox: Any) -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc."),
            x509.NameAttribute(NameOID.COMMON_NAME, "line\r\nX-Mtls-Subject: CN=admin"),
        ]
    )
    listener = sandbox.listen(sandbox.configuration(sandbox.target()))
    identity = sandbox.make.leaf(sandbox.clients, subject=subject)
    answer = sandbox.client(listener, sandbox.context(identity)).ask()
    (value,) = answer.forwarded(SUBJECT)
    assert value == "CN=line\\0D\\0AX-Mtls-Subject: CN=admin,O=Example\\, Inc.,C=US"
    assert x509.Name.from_rfc4514_string(value) == subject
    assert answer.forwarded("X-Mtls-Subject") == []
    assert sandbox.connection()["leaf_client_cert_subject"].startswith("CN=line")


def _exchange(port: int, context: ssl.SSLContext | None, request: bytes, host: str = "localhost") -> bytes:
    with socket.create_connection((host, port), timeout=20) as plain:
        connection = plain if context is None else context.wrap_socket(plain, server_hostname="localhost")
        with connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _dates(certificate: x509.Certificate) -> tuple[Any, Any]:
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc
