"""`python -m gateway` as a process: HTTPS, the log, a new document, and its end."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from documents.document import ObjectAddress, ObjectPointer
from emulator.endpoint.exchange import HttpRequest, HttpResponse
from emulator.endpoint.front_door import FrontDoor
from gateway import structured_log
from gateway.__main__ import main
from gateway.document import AllowedIdentity, GatewayDocument
from gateway.errors import ApplicationError
from gateway.machine import Machine
from gateway.serving import load_application
from tests.emulator.rds.conftest import REGION, eventually, free_port
from tests.gateway.certificates import Authority
from tests.gateway.forwarding import URI, Headers, document, forwarded, values
from tests.gateway.running_database import RunningDatabase

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC).replace(microsecond=0)


def target_trust() -> ssl.SSLContext:
    """As a load balancer, which does not verify its targets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(kw_only=True)
class Process:
    """A running gateway, called as by its load balancer."""

    popen: subprocess.Popen[str]
    port: int
    metrics_port: int
    lines: list[str] = field(default_factory=list)

    def connection(self, context: ssl.SSLContext | None = None) -> http.client.HTTPSConnection:
        context = context or target_trust()
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)

    def get(self, path: str, headers: Headers = []) -> tuple[int, Any]:  # noqa: B006  it is only read
        connection = self.connection()
        connection.request("GET", path, headers={name.decode(): value.decode() for name, value in headers})
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    def metrics(self) -> str:
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=20) as answer:
            return answer.read().decode()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def end(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(30)


@contextmanager
def gateway(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[Process]:
    port, metrics_port = free_port(), free_port()
    popen = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "gateway",
            *arguments,
            f"--port={port}",
            f"--metrics-port={metrics_port}",
            "--address=127.0.0.1",
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "AWS_EC2_METADATA_DISABLED": "true",
            **(environment or {}),
        },
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    process = Process(popen=popen, port=port, metrics_port=metrics_port)

    def read() -> None:
        assert popen.stdout
        process.lines.extend(line for line in iter(popen.stdout.readline, ""))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield process
    finally:
        popen.kill()
        popen.wait()
        reader.join()
        if popen.stdout:
            popen.stdout.close()


def listening(process: Process) -> None:
    def answers() -> bool:
        assert process.popen.poll() is None, process.lines
        try:
            return process.get("/healthz")[0] == 200
        except OSError:
            return False

    eventually(answers)


@pytest.fixture(scope="module")
def issuer() -> Authority:
    return Authority.root(now=NOW)


def client(issuer: Authority, **changes: Any) -> Any:
    arguments = {"uris": [URI], "begins": NOW - timedelta(days=1), "ends": NOW + timedelta(days=1)}
    return issuer.client(**{**arguments, **changes})


def credentials(running: RunningDatabase) -> dict[str, str]:
    key = running.cloud.aws.operator
    found = {"AWS_ACCESS_KEY_ID": key.access_key_id, "AWS_SECRET_ACCESS_KEY": key.secret_access_key}
    return {**found, "AWS_SESSION_TOKEN": key.session_token} if key.session_token else found


def served(path: Path) -> dict[str, Any]:
    """What an instance says of the document in a file that it serves."""
    text = path.read_bytes()
    return {"serial": json.loads(text)["serial"], "sha256": hashlib.sha256(text).hexdigest()}


def write(path: Path, content: GatewayDocument) -> None:
    path.write_text(content.to_json())


def test_a_process_serves_its_callers_follows_its_document_and_ends_cleanly(running, issuer, tmp_path):
    path = tmp_path / "document.json"
    described = running.described(["reports", "orders"])
    write(path, document(issuer, database=described))
    certificate = client(issuer)
    headers = forwarded(certificate)
    with gateway("--document", str(path), environment=credentials(running)) as process:
        listening(process)
        status, told = process.get("/whoami", headers)
        assert (status, told["role"], told["database"]["currentUser"]) == (200, "reports", "reports")
        assert process.get("/readyz") == (200, {"status": "ready", "reasons": [], "document": served(path)})
        assert process.get("/whoami") == (401, {"error": "unauthorized"})
        assert process.get("/metrics")[0] == 401
        assert 'refusals_total{code="missing-header"} 2.0' in process.metrics()

        moved = AllowedIdentity(kind="uri", value=URI, role="orders")
        write(path, document(issuer, database=described, identities=[moved]))
        eventually(lambda: process.get("/whoami", headers)[1].get("role") == "orders")

        assert process.end() == 0
    events = process.events()
    requests = [each for each in events if each["event"] == "request"]
    assert (
        requests[0]["serial"] == values(client(issuer))["serial_number"] or requests[0]["role"] == "reports"
    )
    assert {each["level"] for each in events if each["event"] == "log"} == {"info"}
    everything = "".join(process.lines)
    assert "X-Amz-Signature" not in everything
    assert running.cloud.aws.operator.secret_access_key not in everything


def test_an_instance_finds_its_document_by_its_own_file(running, issuer, tmp_path, monkeypatch):
    lists = (issuer.revocation_list(begins=NOW - timedelta(days=1), ends=NOW + timedelta(days=3)),)
    described = running.described(["reports"])
    text = document(issuer, database=described, revocation_lists=lists).to_json().encode()
    aws = running.cloud.aws
    objects = aws.client("s3")
    objects.create_bucket(Bucket="documents", CreateBucketConfiguration={"LocationConstraint": REGION})
    objects.put_bucket_versioning(Bucket="documents", VersioningConfiguration={"Status": "Enabled"})
    objects.put_object(Bucket="documents", Key="document.json", Body=text)
    machine = Machine(
        region=REGION,
        account="123456789012",
        gateway="/gateway",
        document=ObjectAddress(bucket="documents", key="document.json"),
        reports=ObjectAddress(bucket="documents", key="reports/"),
        artifact=ObjectPointer(bucket="artifacts", key="gateway.zip", version="1", sha256="0" * 64),
        port=8443,
        metrics_port=9443,
    )
    path = tmp_path / "machine.json"
    path.write_text(machine.to_json())
    environment = {"AWS_ENDPOINT_URL": aws.url, **credentials(running)}
    fetched = []
    carry_out = FrontDoor._carry_out

    def recorded(door: FrontDoor, call: HttpRequest, *others: Any) -> HttpResponse:
        if call.raw_path == "/documents/document.json" and call.header("If-None-Match") is None:
            fetched.append(call.method)
        return carry_out(door, call, *others)

    monkeypatch.setattr(FrontDoor, "_carry_out", recorded)
    with gateway("--machine", str(path), "--workers=2", environment=environment) as process:
        listening(process)
        # By the supervisor, for both workers.
        assert fetched == ["GET"]
        status, told = process.get("/whoami", forwarded(client(issuer)))
        assert (status, told["database"]["currentUser"]) == (200, "reports")
        assert process.end() == 0
    published = next(each for each in process.events() if each["event"] == "metrics")
    assert (published["Gateway"], published["DocumentRefused"]) == ("/gateway", 0)
    assert published["DocumentSerial"] == json.loads(text)["serial"]
    assert 74 < published["RevocationListLifeLeft"] <= 75


SLOW = """
import os

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["word"] = b"begun"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    worker = [(b"x-worker", str(os.getpid()).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": worker})
    await send({"type": "http.response.body", "body": scope["state"]["word"], "more_body": True})
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.body", "body": b", finished"})
"""


def test_requests_of_a_users_application_that_have_begun_are_finished_before_it_ends(issuer, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    path = tmp_path / "document.json"
    write(path, document(issuer))
    with gateway(
        "--document",
        str(path),
        "--application=slow:application",
        "--workers=2",
        environment={"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
    ) as process:
        listening(process)
        begun = []

        def in_both_workers() -> bool:
            connection = process.connection()
            connection.putrequest("POST", "/")
            for name, value in forwarded(client(issuer))[1:]:
                connection.putheader(name.decode(), value.decode())
            connection.putheader("Content-Length", "1")
            connection.endheaders()
            begun.append((connection, connection.getresponse()))
            assert begun[-1][1].read(5) == b"begun"
            return len({answer.headers["x-worker"] for _, answer in begun}) == 2

        eventually(in_both_workers)
        # As systemd does, which sends it to every process of the unit.
        for pid in (process.popen.pid, *{int(answer.headers["x-worker"]) for _, answer in begun}):
            os.kill(pid, signal.SIGTERM)
        eventually(lambda: refuses_connections(process))
        assert process.popen.poll() is None
        for connection, answer in begun:
            connection.sock.send(b"x")
            assert answer.read() == b", finished"
            connection.close()
        assert process.popen.wait(30) == 0


@pytest.mark.long
def test_960_unfinished_bodies_of_one_client_leave_health_checks_alone(issuer, tmp_path):
    """`test_limits.py` shows the same without a server."""
    (tmp_path / "slow.py").write_text(SLOW)
    path = tmp_path / "document.json"
    write(path, document(issuer))
    headers = b"".join(
        name + b": " + value + b"\r\n" for name, value in forwarded(client(issuer)) if name != b"host"
    )
    unfinished = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n" + headers + b"\r\n"
    with gateway(
        "--document",
        str(path),
        "--application=slow:application",
        environment={"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
    ) as process:
        listening(process)
        open_connections = [process.connection() for _ in range(960)]
        for connection in open_connections:
            connection.connect()
            connection.sock.sendall(unfinished)
        turned_away = 'turned_away_total{limit="caller"} 660.0'
        eventually(lambda: turned_away in process.metrics())
        assert [process.get("/healthz")[0] for _ in range(20)] == [200] * 20
        for connection in open_connections:
            connection.close()


def refuses_connections(process: Process) -> bool:
    try:
        process.get("/healthz")
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_nothing_listens_before_there_is_a_document_and_then_tls_1_2_and_1_3_alone(issuer, tmp_path):
    path = tmp_path / "document.json"
    with gateway("--document", str(path)) as process:
        eventually(lambda: any("there is no document yet" in line for line in process.lines))
        with pytest.raises(ConnectionRefusedError):
            process.get("/healthz")
        write(path, document(issuer))
        listening(process)
        versions = {}
        for version in ("TLSv1_1", "TLSv1_2", "TLSv1_3"):
            context = target_trust()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion[version]
            connection = process.connection(context)
            try:
                connection.connect()
                versions[version] = connection.sock.version()
            except ssl.SSLError:
                versions[version] = None
            connection.close()
        assert versions == {"TLSv1_1": None, "TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}
        assert process.end() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--machine", "/nonexistent"], "/nonexistent cannot be read"),
        (["--machine", "/dev/null"], "/dev/null is wrong: the file: Invalid JSON"),
    ],
    ids=["no machine", "no content"],
)
def test_what_cannot_start_says_why(arguments, words, caplog, monkeypatch):
    monkeypatch.setattr(structured_log, "begin", lambda: None)
    assert main(arguments) == 1
    (line,) = caplog.messages
    assert words in line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere:application", "No module named 'nowhere'"),
        ("json:nothing", "'nothing'"),
        ("json:__name__", "not callable"),
    ],
    ids=["no module", "no attribute", "no application"],
)
def test_an_application_that_cannot_be_loaded_is_named(name: str, words: str) -> None:
    with pytest.raises(ApplicationError, match=words):
        load_application(name)


def test_without_its_application_a_gateway_ends_and_says_why() -> None:
    with gateway("--document", "/nonexistent", "--application", "nowhere:application") as process:
        assert process.popen.wait(60) == 1
    (error,) = [each for each in process.events() if "nowhere" in each["message"]]
    assert error["level"] == "error"
    assert "No module named 'nowhere'" in error["message"]


def test_the_command_line_is_explained(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--machine FILE" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
