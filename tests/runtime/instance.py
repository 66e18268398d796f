"""The environment of an instance: its metadata service, and AWS."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

REGION = "eu-central-1"
INSTANCE = "i-0123456789abcdef0"
ACCOUNT = "123456789012"


class _Metadata(BaseHTTPRequestHandler):
    """IMDSv2: a token first, then values."""

    values: ClassVar[dict[str, str]] = {
        "instance-id": INSTANCE,
        "local-ipv4": "127.0.0.1",
        "/latest/dynamic/instance-identity/document": json.dumps({"accountId": ACCOUNT, "region": REGION}),
        "iam/security-credentials/": "machine",
        "iam/security-credentials/machine": json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": "ASIAMACHINE",
                "SecretAccessKey": "machine-secret-key",
                "Token": "machine-session-token",
                "LastUpdated": "2026-11-23T00:00:00Z",
                "Expiration": "2099-01-01T00:00:00Z",
            }
        ),
    }

    def do_PUT(self) -> None:
        self._answer("token")

    def do_GET(self) -> None:
        value = self.values.get(self.path.removeprefix("/latest/meta-data/"))
        if self.headers.get("X-aws-ec2-metadata-token") != "token" or value is None:
            self.send_error(401)
            return
        self._answer(value)

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the protocol
        pass


@pytest.fixture(scope="session")
def metadata_endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


# It serves until its standard input ends, with this process whatever ends that.
_AWS = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """A loopback AWS, in a process of its own: `mock_aws` of any test empties all that lie in its process."""
    with subprocess.Popen(
        [sys.executable, "-c", _AWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        yield server.stdout.readline().strip()
        server.stdin.close()


@pytest.fixture(scope="session")
def on_instance(aws_url: str, metadata_endpoint: str) -> Callable[[], AbstractContextManager[None]]:
    """The environment in which the sandbox runs a machine: no keys but those of its role.

    Entered where it is needed: tests of other folders run later in the same process.
    """

    @contextmanager
    def entered() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("AWS_ENDPOINT_URL", aws_url)
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata_endpoint)
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
                monkeypatch.delenv(name, raising=False)
            yield

    return entered


@pytest.fixture
def environment(on_instance: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """A test on the instance."""
    with on_instance():
        yield
