"""The gateway: how its clients call it, and what `verify` says of one that is right or wrong."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pgpasswordless.__main__ import app
from tests.pgpasswordless.conftest import Authority

CLIENTS = {"billing": "app_user", "reports": "reporting"}


class Gateway:
    """A server with mutual TLS that answers /whoami; each attribute makes it wrong in one way."""

    def __init__(self, folder: Path, client_authority: Authority) -> None:
        self.authority = Authority("gateway server authority")
        self.roles = dict(CLIENTS)
        self.spoofed_headers = "refused"
        self.session_user: str | None = None
        self.readiness: Any = {}
        certificate, key = self.authority.issue("localhost", server=True)
        for name, text in (
            ("server.crt", certificate),
            ("server.key", key),
            ("ca.crt", client_authority.pem),
        ):
            (folder / name).write_text(text)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self.context.load_verify_locations(folder / "ca.crt")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.socket = self.context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server.server_port}"

    def answer(self, certificate: dict[str, Any] | None, headers: Any) -> tuple[int, dict[str, Any]]:
        spoofed = headers.get("X-Amzn-Mtls-Clientcert-Serial-Number")
        if spoofed and self.spoofed_headers == "refused":
            return 401, {"error": "unauthenticated"}
        if certificate is None:
            return 200, {"role": "app_user", "subject": "", "serial": "0", "database": {}}
        name = dict(pair for rdn in certificate["subject"] for pair in rdn)["commonName"]
        if name not in self.roles:
            return 403, {"error": "forbidden"}
        role = self.roles[name]
        return 200, {
            "role": role,
            "subject": f"CN={name},O=test",
            "serial": (self.spoofed_headers == "believed" and spoofed) or certificate["serialNumber"],
            "database": {"currentUser": self.session_user or role, "applicationName": "pgpasswordless"},
        }


def _handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.connection, ssl.SSLSocket)
            status, said = gateway.answer(self.connection.getpeercert(), self.headers)
            if self.path == "/readyz":
                status, said = 200, gateway.readiness
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the library's
            pass

    return Handler


@pytest.fixture
def client_authority() -> Authority:
    return Authority("gateway client authority")


@pytest.fixture
def gateway(tmp_path, client_authority) -> Iterator[Gateway]:
    folder = tmp_path / "server"
    folder.mkdir()
    running = Gateway(folder, client_authority)
    thread = threading.Thread(target=running.server.serve_forever, args=(0.05,))
    thread.start()
    yield running
    running.server.shutdown()
    thread.join()
    running.server.server_close()


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def document(tmp_path, gateway, client_authority, boto, environment) -> dict[str, Any]:
    """The connections document of stack `test`, whose context lies in the working directory."""
    pem = gateway.authority.pem
    arns = {
        name: boto("secretsmanager").create_secret(
            Name=f"{tmp_path.name}/{name}/{gateway.server.server_port}",
            SecretString=client_authority.secret(name),
        )["ARN"]
        for name in CLIENTS
    }
    found = {
        "schemaVersion": 1,
        "stack": "test",
        "databases": {},
        "gateway": {
            "url": gateway.url,
            "serverCa": {"pem": pem, "sha256": hashlib.sha256(pem.encode()).hexdigest()},
            "clients": {
                name: {"role": role, "secretArn": arns[name], "certificateNotAfter": "2027-01-31T12:00:00Z"}
                for name, role in CLIENTS.items()
            },
        },
    }
    (tmp_path / ".pgpasswordless").mkdir()
    context = {"connections": "../connections.json", "environment": environment}
    (tmp_path / ".pgpasswordless" / "test.json").write_text(json.dumps(context))
    save(found)
    return found


def save(document: dict[str, Any]) -> None:
    Path("connections.json").write_text(json.dumps(document))


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*words, "--stack", "test"])
    return result.exit_code, result.output


def failed() -> dict[str, str]:
    """Detail of each check that failed, by name."""
    _, output = run("verify", "--json")
    return {check["name"]: check["detail"] for check in json.loads(output)["checks"] if not check["passed"]}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_command_works_as_printed(document) -> None:
    status, output = run("show", "--client", "billing")
    assert status == 0
    comment, command = output.splitlines()
    assert "billing of test, as database role app_user, certificate valid until 20" in comment
    said = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False, cwd="/")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["role"] == "app_user"


def test_show_as_a_document_names_private_files(document) -> None:
    status, output = run("show", "--client", "billing", "--json")
    shown = json.loads(output)
    assert (status, shown["role"], shown["url"]) == (0, "app_user", document["gateway"]["url"])
    for name in ("key", "certificate", "rootCertificate"):
        assert Path(shown[name]).stat().st_mode & 0o077 == 0
    assert "PRIVATE KEY" in Path(shown["key"]).read_text()
    assert "PRIVATE KEY" not in output


def test_verify_passes_and_says_what_was_seen(document) -> None:
    status, output = run("verify", "--json")
    found = json.loads(output)
    assert (status, found["passed"]) == (0, True), output
    assert {login["sessionUser"] for login in found["logins"]} == {"app_user", "reporting"}
    assert {check["name"] for check in found["checks"]} == {
        "call",
        "identity",
        "minimum-protocol",
        "database-session",
        "without-certificate-refused",
        "older-protocol-refused",
        "spoofed-headers-not-believed",
    }


def test_a_gateway_that_lets_anybody_in_fails(document, gateway) -> None:
    gateway.context.verify_mode = ssl.CERT_OPTIONAL
    assert failed() == {"without-certificate-refused": "the call was let in, and answered 200"}


def test_a_gateway_that_believes_headers_of_clients_fails(document, gateway) -> None:
    assert failed() == {}
    gateway.spoofed_headers = "removed"
    assert failed() == {}
    gateway.spoofed_headers = "believed"
    assert failed().keys() == {"spoofed-headers-not-believed"}


def test_a_gateway_that_speaks_old_tls_fails(document, gateway) -> None:
    gateway.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    gateway.context.set_ciphers("ALL:@SECLEVEL=0")
    assert failed() == {"older-protocol-refused": "TLSv1.1 at most: the gateway accepted 0x0302"}


def test_a_client_that_is_given_another_role_fails(document, gateway) -> None:
    gateway.roles["billing"] = "reporting"
    assert failed().keys() == {"call", "database-session"}


def test_a_session_of_another_user_in_the_database_fails(document, gateway) -> None:
    gateway.session_user = "postgres"
    assert failed().keys() == {"database-session"}


def test_a_client_that_is_refused_fails_with_the_answer(document, gateway) -> None:
    del gateway.roles["billing"]
    assert failed() == {"call": f'{gateway.url}/whoami answered 403: b\'{{"error": "forbidden"}}\''}


def test_when_nobody_is_let_in_no_refusal_proves_anything(document, gateway) -> None:
    gateway.roles.clear()
    assert failed()["refusals"] == "no client was let in, so a refusal would prove nothing"


def test_a_gateway_that_is_not_there_fails(document, gateway) -> None:
    document["gateway"]["url"] = "https://localhost:1"
    save(document)
    assert "https://localhost:1" in failed()["call"]


@pytest.mark.parametrize(
    ("served", "said"),
    [
        ({"serial": 7, "sha256": "a" * 64}, None),
        ({"serial": 7, "sha256": "b" * 64}, "document 7 (SHA-256 bbbbbbbbbbbb…) is served, and 7 "),
        ({"serial": 8, "sha256": "a" * 64}, "document 8 (SHA-256 aaaaaaaaaaaa…) is served, and 7 "),
        ({"serial": 6, "sha256": "6" * 64}, "document 6 (SHA-256 666666666666…) is served, and 7 "),
        (None, "does not say what it serves"),
        ("nothing", "does not say what it serves"),
    ],
)
def test_a_gateway_that_serves_another_document_than_was_deployed_fails(
    document: dict[str, Any], gateway: Gateway, served: Any, said: str | None
) -> None:
    document["gateway"]["document"] = {"serial": 7, "sha256": "a" * 64}
    save(document)
    gateway.readiness = {"status": "ready", "document": served}
    found = failed()
    assert found.keys() == ({"deployed-document"} if said else set())
    assert said is None or said in found["deployed-document"]


def test_a_client_may_be_called_otherwise_than_its_certificate(document) -> None:
    clients = document["gateway"]["clients"]
    clients["invoices"] = clients.pop("billing")
    save(document)
    assert "CN must be this very name, and it is 'billing'" in run("show", "--client", "invoices")[1]
    clients["invoices"]["commonName"] = "billing"
    save(document)
    assert run("show", "--client", "invoices")[0] == 0


def test_a_client_whose_key_is_elsewhere_is_named(document) -> None:
    document["gateway"]["clients"]["partner"] = {"role": "reporting"}
    save(document)
    status, output = run("verify", "--json")
    assert status == 0
    assert json.loads(output)["notes"] == [
        "client 'partner' of the gateway has its key elsewhere, so it could not be tried"
    ]
    assert "is issued outside of stack 'test'" in run("show", "--client", "partner")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--client", "nobody"], "has no client 'nobody'; it has: billing, reports"),
        (["--client", "billing", "--role", "app_user"], "--client is for the gateway"),
        ([], "give --database and --role, or --client of the gateway"),
    ],
)
def test_what_show_cannot_do_is_an_error(document, words, message) -> None:
    status, output = run("show", *words)
    assert (status, message in output) == (1, True), output


def test_a_stack_without_gateway_says_so(document) -> None:
    del document["gateway"]
    save(document)
    assert "has no gateway" in run("show", "--client", "billing")[1]
