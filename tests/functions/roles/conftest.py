"""Servers set up as RDS sets them up, reached over TLS; a loopback Secrets Manager; events."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto import mock_aws

from emulator.postgresql_server.server_user import server_user
from functions.roles.configuration import Configuration
from functions.roles.handler import Outcome, run
from functions.roles.retry import RetryPolicy
from postgres.declaration import Database, Declaration, Grant, Role
from postgres.versions import SUPPORTED_MAJORS
from tests.postgres.rds_roles import MASTER, rds_setup
from tests.postgres.test_roles_server import Executor

ADMINISTRATOR = "pgpl_admin"
PASSWORD = "password-marker-of-the-master"
REGION = "eu-central-1"
# The endpoint of RDS has verified the token when it lets a member of rds_iam through.
HBA = f"""\
local all all trust
hostssl all {MASTER} all scram-sha-256
hostssl all +rds_iam all trust
hostssl all all all scram-sha-256
"""
READER = Role(
    name="app_reader",
    connection_limit=5,
    databases=("app",),
    grants=(
        Grant(database="app", schema="public", on="schema", privileges=("usage",)),
        Grant(database="app", schema="public", on="tables", privileges=("select",)),
        Grant(database="app", schema="jobs", on="tables", privileges=("select",)),
    ),
)
WRITER = Role(
    name="app_writer",
    connection_limit=20,
    databases=("app",),
    grants=(
        Grant(database="app", on="database", privileges=("temporary",)),
        Grant(database="app", schema="jobs", on="schema", privileges=("usage", "create")),
        Grant(database="app", schema="jobs", on="tables", privileges=("select", "insert")),
    ),
)
WATCHER = Role(name="watcher", connection_limit=1, databases=("app",), member_of=("pg_monitor",))
DECLARATION = Declaration(
    administrator=ADMINISTRATOR,
    databases=(Database(name="app", extensions=("citext",)),),
    roles=(READER, WRITER),
)


def certificate(folder: Path) -> str:
    """An authority, and `server.crt` and `server.key` for localhost signed by it; the authority's PEM."""
    now = datetime.datetime.now(datetime.UTC)
    authority_key, key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))

    def builder(subject: str, own: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .issuer_name(named("authority"))
            .subject_name(named(subject))
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    constraints = x509.BasicConstraints(ca=True, path_length=None)
    authority = (
        builder("authority", authority_key)
        .add_extension(constraints, critical=True)
        .sign(authority_key, hashes.SHA384())
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    leaf = builder("localhost", key).add_extension(names, critical=False).sign(authority_key, hashes.SHA384())
    (folder / "server.crt").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").touch(mode=0o600)
    (folder / "server.key").write_bytes(pem)
    return authority.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True, kw_only=True)
class RdsLikeServer:
    """A running server whose superuser is rdsadmin; `connect` is the test's own way in."""

    major: int
    binaries: Path
    folder: Path
    port: int
    ca_pem: str

    def run(self, program: str, *arguments: str) -> None:
        command = [self.binaries / program, "-D", self.folder / "data", *arguments]
        subprocess.run([*server_user().prefix, *command], check=True, capture_output=True, cwd=self.folder)

    def connect(self, user: str = "rdsadmin", database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.folder), port=self.port, user=user, dbname=database, autocommit=True
        )

    def sql(self, statement: str, database: str = "postgres", user: str = "rdsadmin") -> list[Any]:
        with self.connect(user, database) as session:
            cursor = session.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def catalogue(self) -> dict[str, object]:
        """What the declaration decides, without the journal, which depends on the history."""
        return {
            name: rows
            for name, rows in Executor(self).catalogue().items()
            if name not in ("postgres relations", "postgres schemas")
        }

    def write_hba(self, text: str) -> None:
        (self.folder / "data" / "pg_hba.conf").write_text(text)
        self.run("pg_ctl", "reload")

    def reset(self) -> None:
        """As a new instance."""
        self.write_hba(HBA)
        self.sql("ALTER DATABASE postgres OWNER TO rdsadmin")
        for (name,) in self.sql("SELECT quote_ident(datname) FROM pg_database WHERE NOT datistemplate"):
            if name != "postgres":
                self.sql(f"DROP DATABASE {name} WITH (FORCE)")
        ours = "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'rdsadmin'"
        names = ", ".join(name for (name,) in self.sql(ours))
        if names:
            self.sql(f"DROP OWNED BY {names} CASCADE; DROP ROLE {names}")
        for statement in (*rds_setup(self.major), f"ALTER ROLE {MASTER} PASSWORD '{PASSWORD}'"):
            self.sql(statement)


@contextmanager
def started(major: int, binaries: Path) -> Iterator[RdsLikeServer]:
    folder = Path(tempfile.mkdtemp(prefix="pgpl-function-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ca_pem = certificate(folder)
    user = server_user()
    if user.switched:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.uid, user.gid)
    server = RdsLikeServer(major=major, binaries=binaries, folder=folder, port=port, ca_pem=ca_pem)
    try:
        server.run("initdb", "-U", "rdsadmin", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        settings = {
            "fsync": "off",
            "listen_addresses": "127.0.0.1,::1" if socket.has_ipv6 else "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder),
            "ssl": "on",
            "ssl_cert_file": str(folder / "server.crt"),
            "ssl_key_file": str(folder / "server.key"),
            "ssl_min_protocol_version": "TLSv1.2",
        }
        with (folder / "data" / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        server.run("pg_ctl", "start", "-w", "-s", "-l", str(folder / "log"))
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.run("pg_ctl", "stop", "-m", "immediate", "-w")
        shutil.rmtree(folder)


# Memberships follow other rules since PostgreSQL 16, so one release before and one after is always tested.
ALWAYS_TESTED = (15, 17)
MAJORS = [
    pytest.param(major, marks=() if major in ALWAYS_TESTED else pytest.mark.long)
    for major in SUPPORTED_MAJORS
]


@pytest.fixture(scope="session", params=MAJORS)
def running_server(
    request: pytest.FixtureRequest, postgresql_binaries: Callable[[int], Path]
) -> Iterator[RdsLikeServer]:
    with started(request.param, postgresql_binaries(request.param)) as server:
        yield server


@pytest.fixture
def server(running_server: RdsLikeServer) -> RdsLikeServer:
    """A server of each major in turn, as new."""
    running_server.reset()
    return running_server


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A loopback AWS and the function's own credentials, without any others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAFUNCTION")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key-marker")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token-marker")
    with mock_aws(config={"core": {"mock_credentials": False}}):
        yield


@pytest.fixture
def secret_arn() -> str:
    """The master's secret as RDS writes it."""
    client = boto3.client("secretsmanager", region_name=REGION)
    document = json.dumps({"username": MASTER, "password": PASSWORD})
    return client.create_secret(Name="rds!db-1", SecretString=document)["ARN"]


class Clock:
    """Time that passes only by sleeping; `while_sleeping` runs during each sleep."""

    def __init__(self, while_sleeping: Callable[[], object] = lambda: None) -> None:
        self.now, self.while_sleeping = 0.0, while_sleeping

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.while_sleeping()

    def retry(self) -> RetryPolicy:
        return RetryPolicy(clock=lambda: self.now, sleep=self.sleep)


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The function's configuration for a server, with `changes`, its event, and its invocation."""

    server: RdsLikeServer
    secret_arn: str
    declaration: Declaration | None = DECLARATION
    changes: dict[str, Any] = field(default_factory=dict)

    def configuration(self) -> Configuration:
        usual = Configuration(
            host="localhost",
            port=self.server.port,
            region=REGION,
            major=self.server.major,
            administrator=ADMINISTRATOR,
            master_secret_arn=self.secret_arn,
            server_ca_pem=self.server.ca_pem,
            declaration_sha256=self.declaration.sha256 if self.declaration else None,
        )
        return replace(usual, **self.changes)

    def event(self) -> dict[str, Any]:
        declaration = json.loads(self.declaration.to_json()) if self.declaration else None
        return {"schemaVersion": 2, "declaration": declaration}

    def __call__(
        self, declaration: Declaration | None = DECLARATION, *, clock: Clock | None = None, **changes: Any
    ) -> Outcome:
        changed = replace(self, declaration=declaration, changes=changes)
        return run(changed.event(), changed.configuration(), (clock or Clock()).retry())


@pytest.fixture
def invoke(server: RdsLikeServer, secret_arn: str) -> Invocation:
    return Invocation(server=server, secret_arn=secret_arn)
