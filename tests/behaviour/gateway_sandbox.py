"""What tests do with the gateway of a running sandbox."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from components.gateway.document import DOCUMENT_KEY
from emulator.elb.data_plane.forwarded_headers import verify_headers
from gateway.document import GatewayDocument
from gateway.header_names import header_names
from pgpasswordless.connections import Connections, Gateway
from pgpasswordless.gateway_client import Answer, address, get
from pgpasswordless.identity_files import IdentityFiles
from tests.behaviour.conftest import ROOT, RunningSandbox
from tests.behaviour.iam_tokens import client
from tests.behaviour.issuing import Authority
from tests.emulator.elb.log_fields import fields

# Between two calls of a client: without a pause the load takes the processor from what it watches.
PAUSE_SECONDS = 0.05


@dataclass(kw_only=True)
class RunningGateway:
    """The gateway of a deployed sandbox, as its clients and its operator see it."""

    sandbox: RunningSandbox
    _files: dict[str, IdentityFiles] = field(default_factory=dict)
    # By the number of `up`s so far, which alone change them.
    _documents: dict[int, GatewayDocument] = field(default_factory=dict)
    _first_targets: dict[int, int] = field(default_factory=dict)

    @property
    def connection(self) -> Gateway:
        """Its entry in the connections document."""
        document = Path(self.sandbox.context["connections"]).read_text()
        gateway = Connections.model_validate_json(document).gateway
        assert gateway is not None
        return gateway

    @property
    def root_certificate(self) -> Path:
        """What clients trust for it."""
        authorities = self.connection.server_ca
        assert authorities is not None
        path = self.sandbox.folder / "gateway-root.crt"
        if not path.exists():
            path.write_text(authorities.pem)
        return path

    def forget(self) -> None:
        """Fetch certificates again: they were issued anew."""
        self._files.clear()

    def files(self, name: str) -> IdentityFiles:
        """A client's own certificate and key, fetched as its user would, once."""
        if name not in self._files:
            folder = self.sandbox.folder / "gateway-clients" / name
            completed = self._command("show", "--client", name, "--directory", str(folder))
            assert completed.returncode == 0, completed.stderr
            self._files[name] = IdentityFiles.in_directory(folder)
        return self._files[name]

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of `pgpasswordless` on this stack, whatever its exit status."""
        return subprocess.run(
            [sys.executable, "-m", "pgpasswordless", *arguments, "--stack", "sandbox"],
            cwd=ROOT,
            env=self.sandbox.environment,
            text=True,
            capture_output=True,
            check=False,
        )

    def failed_checks(self) -> set[tuple[str, str]]:
        """Names and clients of the checks that `verify` finds to have failed."""
        checks = json.loads(self._command("verify", "--json").stdout)["checks"]
        return {(check["name"], check["role"]) for check in checks if not check["passed"]}

    def call(
        self, files: IdentityFiles | None, path: str = "/whoami", headers: dict[str, str] | None = None
    ) -> Answer:
        """Call through the load balancer."""
        return get(
            self.connection.url + path, root_certificate=self.root_certificate, files=files, headers=headers
        )

    def call_with_anything(self, files: IdentityFiles | None) -> int:
        """Call with a certificate that this machine's own OpenSSL would not use; the status of the answer."""
        context = ssl.create_default_context(cafile=str(self.root_certificate))
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if files is not None:
            context.load_cert_chain(files.certificate, files.key)
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=15, context=context)
        try:
            connection.request("GET", "/whoami")
            return connection.getresponse().status
        finally:
            connection.close()

    def whoami(self, name: str) -> dict[str, Any]:
        """What the application says to one of its clients."""
        answer = self.call(self.files(name))
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def authority(self, generation: str = "1") -> Authority:
        """A generation of the client authority, with its key, as the engine's state holds it."""
        resources = self.sandbox.exported_state()["deployment"]["resources"]
        by_name = {each["urn"].rsplit("::", 1)[1]: each for each in resources}
        (prefix,) = {
            name.removesuffix(f"-{generation}-key")
            for name in by_name
            if name.startswith("gateway") and name.endswith(f"-{generation}-key")
        }
        certificate = by_name[f"{prefix}-{generation}-certificate"]["outputs"]["certPem"]
        key = by_name[f"{prefix}-{generation}-key"]["outputs"]["privateKeyPem"]["plaintext"]
        return Authority.from_pem(certificate, json.loads(key))

    @property
    def document(self) -> GatewayDocument:
        """The document that its instances use now."""
        ups = len(self.sandbox.said_by_up)
        if ups not in self._documents:
            self._documents[ups] = self._fetch_document()
        return self._documents[ups]

    def _fetch_document(self) -> GatewayDocument:
        body = self._objects.get_object(Bucket=self._document_bucket, Key=DOCUMENT_KEY)["Body"]
        return GatewayDocument.model_validate_json(body.read())

    @property
    def _objects(self) -> Any:
        return client("s3", self.sandbox.aws_environment())

    @property
    def _document_bucket(self) -> str:
        names = [each["Name"] for each in self._objects.list_buckets()["Buckets"]]
        (bucket,) = (name for name in names if name.startswith("gateway-document-"))
        return bucket

    def renamed_headers(self, certificate: Any) -> list[tuple[str, str]]:
        """What the listener would forward for a certificate; only who knows the suffix can write this."""
        names = vars(header_names(self.document.header_suffixes[0]))
        values = verify_headers(certificate)
        kinds = {
            "leaf": "Leaf",
            "serial_number": "Serial-Number",
            "issuer": "Issuer",
            "subject": "Subject",
            "validity": "Validity",
        }
        return [(names[key], values[f"X-Amzn-Mtls-Clientcert-{kind}"]) for key, kind in kinds.items()]

    def targets(self) -> list[int]:
        """Ports of the instances that serve."""
        status = json.loads(self.sandbox.run("status", "--json").stdout)
        return [instance["port"] for group in status["groups"] for instance in group["instances"]]

    def first_target(self) -> int:
        """Port of one instance that serves."""
        ups = len(self.sandbox.said_by_up)
        if ups not in self._first_targets:
            self._first_targets[ups] = self.targets()[0]
        return self._first_targets[ups]

    def call_directly(
        self, headers: list[tuple[str, str]], path: str = "/whoami", port: int | None = None
    ) -> tuple[int, bytes]:
        """Call an instance past the load balancer; the first one where no port is given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port or self.first_target(), timeout=15, context=context
        )
        try:
            connection.putrequest("GET", path)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def connection_log(self) -> list[dict[str, str]]:
        """Every entry of the load balancer's connection log so far."""
        return [
            fields(line)
            for path in self.sandbox.state.glob("load-balancing/logs/*/connection.log")
            for line in path.read_text().splitlines()
        ]

    def logged(self, status: str, after: int) -> dict[str, str]:
        """The first entry after entry `after` with that status; waits for it."""

        @retry(
            retry=retry_if_result(lambda found: found is None),
            stop=stop_after_delay(10),
            wait=wait_fixed(0.05),
        )
        def search() -> dict[str, str] | None:
            entries = self.connection_log()[after:]
            return next((entry for entry in entries if entry["tls_verify_status"] == status), None)

        found = search()
        assert found is not None
        return found

    def answers_of_all(self, headers: list[tuple[str, str]]) -> set[int]:
        """How the instances answer these headers, each by itself."""
        return {self.call_directly(headers, port=port)[0] for port in self.targets()}

    @property
    def served(self) -> list[str]:
        """What `status` says of the document that each instance serves."""
        status = json.loads(self.sandbox.run("status", "--json").stdout)
        return [each["document"] for group in status["groups"] for each in group["instances"]]

    def until_served(self, pattern: str) -> None:
        """Wait until `status` says so of the document of every instance."""

        @retry(retry=retry_if_result(lambda said: not said), stop=stop_after_delay(60), wait=wait_fixed(0.2))
        def said() -> bool:
            return all(re.fullmatch(pattern, each) for each in self.served)

        said()

    def write_document(self, document: GatewayDocument) -> str:
        """Write the document past the stack, as somebody with the deployer's rights can; the version's id."""
        body = document.to_json().encode()
        bucket = self._document_bucket
        return self._objects.put_object(Bucket=bucket, Key=DOCUMENT_KEY, Body=body)["VersionId"]

    def delete_document(self, version: str) -> None:
        """Delete one version of the document."""
        self._objects.delete_object(Bucket=self._document_bucket, Key=DOCUMENT_KEY, VersionId=version)

    def start_again(self) -> None:
        """Each instance's program is ended, and started again on the same instance."""
        status = json.loads(self.sandbox.run("status", "--json").stdout)
        for group in status["groups"]:
            for instance in group["instances"]:
                psutil.Process(instance["pid"]).terminate()

    def kill_database(self, seconds: float) -> None:
        """The RDS server is killed, and each one that is started in its place, until `seconds` are over."""
        (data,) = self.sandbox.state.glob("rds/*/server/data")
        until = time.monotonic() + seconds
        killed = 0
        while time.monotonic() < until:
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    if process.cwd() == str(data.resolve()):
                        process.kill()
                        killed += 1
            time.sleep(0.02)
        assert killed

    @property
    def port(self) -> int:
        """Port of the listener."""
        return address(self.connection.url)[1]

    @contextmanager
    def under_load(self, name: str, clients: int = 2) -> Iterator[Load]:
        """Clients that call again and again with one certificate until the block ends."""
        load = Load(self, self.files(name))
        with concurrent.futures.ThreadPoolExecutor(clients) as threads:
            running = [threads.submit(load.run) for _ in range(clients)]
            try:
                yield load
            finally:
                load.ending.set()
                for each in running:
                    each.result()


class Load:
    """Calls of one client, and what came of them."""

    def __init__(self, gateway: RunningGateway, files: IdentityFiles) -> None:
        """Nothing was called yet."""
        self._url = gateway.connection.url + "/whoami"
        self._trust = gateway.root_certificate
        self._files = files
        self._lock = threading.Lock()
        self.ending = threading.Event()
        self.good = 0
        self.bad: list[str] = []

    def run(self) -> None:
        """Call until it is time to end."""
        while not self.ending.wait(PAUSE_SECONDS):
            try:
                answer = get(self._url, root_certificate=self._trust, files=self._files)
                problem = None if answer.status == 200 else f"{answer.status} {answer.body!r}"
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
            with self._lock:
                if problem is None:
                    self.good += 1
                else:
                    self.bad.append(problem)

    def wait_for_success(self, seconds: float = 60) -> None:
        """Wait until a call that begins from now on succeeds."""
        before = self.good

        @retry(
            retry=retry_if_result(lambda more: not more),
            stop=stop_after_delay(seconds),
            wait=wait_fixed(0.05),
        )
        def again() -> bool:
            # One more than the calls that were under way.
            return self.good > before + 2

        again()
