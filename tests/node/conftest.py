"""A machine with a real PostgreSQL, an AWS in process, and certificates made here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import boto3
import psycopg
import pytest

from components.serial import next_serial
from node import cluster, prefix, server_process
from node.apply import apply
from node.layout import Layout
from node.server_user import ServerUser
from node.state import MANIFEST_KEY
from postgres.access import hba_rules, ident_mappings
from postgres.declaration import Database, Declaration, Grant, Role
from postgres.hba_rendering import render_hba
from postgres.ident import render_ident
from postgres.postgresql_conf import render_postgresql_conf
from postgres.server_settings import server_settings
from postgres.tls_groups import default_groups
from postgres.versions import MINIMUM_MINORS
from tests.node.certificates import Authority, Leaf
from tests.runtime.instance import REGION, aws_url, environment, metadata_endpoint, on_instance

__all__ = ["aws_url", "environment", "metadata_endpoint", "on_instance"]

NODE = "0" * 64
LOG_GROUP = "/passwordless-postgres/test/main/postgresql"
SERVER_USER = "postgres" if os.geteuid() == 0 else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Desired:
    """A valid desired state to publish; tests change one thing of it."""

    def __init__(self, major: int, port: int, server: Leaf, client_ca: str) -> None:
        self.major = major
        self.port = port
        self.identity = server.secret()
        self.client_ca = client_ca
        self.networks = ("127.0.0.0/24", "::1/128")
        self.extra_settings: dict[str, str] = {}
        self.roles = ("app_user",)
        self.role_values: dict[str, Any] = {}
        self.common_names: dict[str, str] = {}
        self.restart = "pending"
        self.extra_hba = ""
        self.extensions: tuple[str, ...] = ()
        self.extra_conf = ""

    def declaration(self) -> Declaration:
        grants = (
            Grant(database="app", schema="public", on="schema", privileges=("usage",)),
            Grant(database="app", schema="public", on="tables", privileges=("select",)),
        )
        return Declaration(
            administrator="pgpl_admin",
            databases=(Database(name="app", extensions=self.extensions),),
            roles=tuple(
                Role(
                    name=role,
                    connection_limit=20,
                    databases=("app",),
                    grants=grants,
                    networks=tuple(self.networks),
                    **self.role_values,
                )
                for role in self.roles
            ),
            common_names=tuple(self.common_names.items()),
        )

    def files(self) -> dict[str, str]:
        hba = render_hba(hba_rules(self.declaration()), self.major).split("\n")
        settings = server_settings(
            self.major, self.port, "TLSv1.3", {}, default_groups(ssl.OPENSSL_VERSION_INFO)
        )
        settings |= self.extra_settings
        return {
            "pg_hba.conf": "\n".join([hba[0], self.extra_hba, *hba[1:]]),
            "pg_ident.conf": render_ident(ident_mappings(self.declaration()), self.major),
            "postgresql.conf": render_postgresql_conf(settings) + self.extra_conf,
            "roles.json": self.declaration().to_json(),
            "client-ca.crt": self.client_ca,
        }


class Machine:
    """One machine: its root folder, its desired state in AWS, its clients."""

    def __init__(
        self,
        root: Path,
        major: int,
        binaries: Path,
        authorities: tuple[Authority, Authority],
        clients: dict[str, Any],
    ) -> None:
        self.root = root
        self.layout = Layout(root)
        self.major = major
        self.binaries = binaries
        self.server_authority, self.client_authority = authorities
        self.bucket = f"desired-state-{root.name.lower().replace('_', '-')}"
        self.log_group = f"{LOG_GROUP}-{root.name}"
        self.serial = 0
        self.desired = Desired(major, free_port(), self.server_authority.server(), self.client_authority.pem)
        self.s3: Any = clients["s3"]
        self.secrets: Any = clients["secretsmanager"]
        self.logs: Any = clients["logs"]
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.secret_arn = self.secrets.create_secret(Name=f"server-{root.name}")["ARN"]
        self.logs.create_log_group(logGroupName=self.log_group)
        self.client_leaf = self.client_authority.client("app_user")
        self._write("etc/passwordless-postgres/machine.json", self.machine_document())
        self._write("etc/passwordless-postgres/platform.json", self.platform_document())
        self.client_files = root / "client"
        self.client_files.mkdir()
        for name, text in {
            "app_user.crt": self.client_leaf.certificate,
            "app_user.key": self.client_leaf.private_key,
            "server-ca.crt": self.server_authority.pem,
        }.items():
            (self.client_files / name).write_text(text)
            (self.client_files / name).chmod(0o600)

    def machine_document(self) -> dict[str, Any]:
        return {
            "region": REGION,
            "bucket": self.bucket,
            "reportKey": "report.json",
            "logGroup": self.log_group,
        }

    def platform_document(self) -> dict[str, Any]:
        return {
            "platform": "prefix",
            "binaries": {str(self.major): str(self.binaries)},
            "serverUser": SERVER_USER,
            "listenAddresses": ["localhost"],
        }

    def _write(self, name: str, document: dict[str, Any]) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))

    @property
    def user(self) -> ServerUser:
        return ServerUser.named(SERVER_USER)

    def put(self, key: str, data: bytes) -> dict[str, str]:
        version = self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)["VersionId"]
        return {"key": key, "version": version, "sha256": hashlib.sha256(data).hexdigest()}

    def manifest(self) -> dict[str, Any]:
        desired = self.desired
        self.serial = next_serial(self.serial, time.time())
        secret = self.secrets.put_secret_value(SecretId=self.secret_arn, SecretString=desired.identity)
        return {
            "serial": self.serial,
            "server": "main",
            "major": desired.major,
            "minorFloor": MINIMUM_MINORS.get(desired.major, 0),
            "node": {"key": "node/node.zip", "version": "none", "sha256": NODE},
            "files": {
                name: self.put(f"files/{name}", text.encode()) for name, text in desired.files().items()
            },
            "serverIdentity": {
                "arn": self.secret_arn,
                "version": secret["VersionId"],
                "sha256": hashlib.sha256(desired.identity.encode()).hexdigest(),
            },
            "restart": desired.restart,
        }

    def publish(self, **changes: Any) -> int:
        """Publish the desired state, with `changes` to keys of the manifest, and return its serial."""
        manifest = self.manifest() | changes
        self.put(MANIFEST_KEY, json.dumps(manifest).encode())
        return manifest["serial"]

    def apply(self) -> int:
        return apply(self.layout)

    def report(self) -> dict[str, Any]:
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key="report.json")["Body"].read())

    def _version_ids(self, key: str) -> list[str]:
        """Versions of an object, oldest first."""
        versions = self.s3.list_object_versions(Bucket=self.bucket, Prefix=key)["Versions"]
        return [version["VersionId"] for version in reversed(versions)]

    def versions(self, key: str) -> list[str]:
        """What an object said so far, oldest first."""
        return [
            self.s3.get_object(Bucket=self.bucket, Key=key, VersionId=version)["Body"].read().decode()
            for version in self._version_ids(key)
        ]

    def report_count(self) -> int:
        """How many reports there were so far."""
        return len(self._version_ids("report.json"))

    def report_versions(self) -> list[dict[str, Any]]:
        """All reports so far, oldest first."""
        return [json.loads(text) for text in self.versions("report.json")]

    def connect(self, **changes: Any) -> psycopg.Connection[Any]:
        parameters = {
            "host": "localhost",
            "port": self.desired.port,
            "dbname": "app",
            "user": "app_user",
            "sslmode": "verify-full",
            "sslrootcert": str(self.client_files / "server-ca.crt"),
            "sslcert": str(self.client_files / "app_user.crt"),
            "sslkey": str(self.client_files / "app_user.key"),
            "gssencmode": "disable",
            "connect_timeout": 10,
        }
        return psycopg.connect(**(parameters | changes), autocommit=True)

    def logging_in(self) -> LoggingIn:
        return LoggingIn(self)

    def superuser(self, query: str, database: str = "postgres") -> list[list[str]]:
        from node import machine_platform
        from node.switch import Switch

        switch = Switch(layout=self.layout, platform=machine_platform.of(self.layout), major=self.major)
        return switch.sql().run(query, database=database)

    def stop(self) -> None:
        if server_process.find(self.layout.data(self.major)):
            self.user.run(
                [
                    self.binaries / "pg_ctl",
                    "stop",
                    "-D",
                    self.layout.data(self.major),
                    "-m",
                    "immediate",
                    "-w",
                ]
            )


@pytest.fixture(scope="session")
def authorities() -> tuple[Authority, Authority]:
    return Authority("server authority"), Authority("client authority")


@pytest.fixture(scope="session")
def fresh_data(postgresql_binaries: Callable[[int], Path]) -> Iterator[Callable[[int], Path]]:
    """A data directory per major on which no server has ever run, made once."""
    root = Path(tempfile.mkdtemp(prefix="node-fresh-"))
    root.chmod(0o755)
    user = ServerUser.named(SERVER_USER)

    def fresh(major: int) -> Path:
        data = root / str(major) / "main"
        user.make_directory(data.parent)
        cluster.initialise(data, postgresql_binaries(major), user)
        return data

    yield fresh
    shutil.rmtree(root)


@pytest.fixture(scope="session", autouse=True)
def orphans_may_take_long() -> Iterator[None]:
    """The test machine is busy, so backends of a killed server leave late."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(prefix, "ORPHAN_SECONDS", 30)
        yield


@pytest.fixture(scope="session")
def clients(on_instance: Callable[[], AbstractContextManager[None]]) -> dict[str, Any]:
    """The operator's AWS clients; making one takes longer than most tests."""
    services = ("s3", "secretsmanager", "logs")
    with on_instance():
        session = boto3.Session(region_name=REGION)
        return {service: session.client(service) for service in services}


@pytest.fixture(autouse=True)
def whole_folder_on_the_instance(environment: None) -> None:
    """Every test of node."""


@pytest.fixture(scope="session")
def machine_of(
    clients: dict[str, Any],
    fresh_data: Callable[[int], Path],
    authorities: tuple[Authority, Authority],
    postgresql_binaries: Callable[[int], Path],
) -> Iterator[Callable[..., Machine]]:
    """Makes machines of a major, with an empty cluster unless `blank`; their servers end with the tests."""
    machines: list[Machine] = []

    def machine(major: int, *, blank: bool = False) -> Machine:
        root = Path(tempfile.mkdtemp(prefix="node-"))
        root.chmod(0o755)
        made = Machine(root, major, postgresql_binaries(major), authorities, clients)
        machines.append(made)
        if not blank:
            for data in (made.layout.data(major), made.layout.scratch / str(major) / "data"):
                made.user.make_directory(data.parent)
                cluster.copy_fresh(fresh_data(major), data, made.user)
        return made

    yield machine
    for made in machines:
        made.stop()
        shutil.rmtree(made.root)


class LoggingIn:
    """A client that logs in again and again while the block runs; `failures` must stay empty."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.logins = 0
        self.failures: list[str] = []

    def _run(self) -> None:
        while not self._end.wait(0.05):
            try:
                with self._machine.connect() as connection:
                    connection.execute("SELECT 1")
                self.logins += 1
            except psycopg.Error as error:
                self.failures.append(str(error))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def machine(machine_of: Callable[..., Machine]) -> Iterator[Machine]:
    """A machine of the default major, with a first state published and nothing applied."""
    made = machine_of(17)
    made.publish()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def shared_machine(
    machine_of: Callable[..., Machine], on_instance: Callable[[], AbstractContextManager[None]]
) -> Machine:
    made = machine_of(17)
    with on_instance():
        made.publish()
        assert made.apply() == 0, made.report()
    return made


@pytest.fixture
def serving(shared_machine: Machine) -> Iterator[Machine]:
    """A machine that serves a valid state; it is restored after each test."""
    good = dict(vars(shared_machine.desired))
    yield shared_machine
    changed = vars(shared_machine.desired) != good
    vars(shared_machine.desired).update(good)
    if changed and shared_machine.report()["outcome"] != "refused":
        shared_machine.publish()
        assert shared_machine.apply() == 0, shared_machine.report()


@pytest.fixture
def machine_files(authorities: tuple[Authority, Authority]) -> dict[str, str]:
    """The program's files of a good desired state for PostgreSQL 17."""
    return Desired(17, 5432, authorities[0].server(), authorities[1].pem).files()
