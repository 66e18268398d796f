"""Real servers of every major, one small cluster each, reached over a Unix socket only."""

from __future__ import annotations

import datetime
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from emulator.postgresql_server.server_user import server_user
from postgres.postgresql_conf import render_postgresql_conf
from postgres.server_settings import server_settings
from postgres.tls_groups import default_groups
from postgres.versions import SUPPORTED_MAJORS

EXTRA_SETTINGS = {
    "max_connections": "20",
    "shared_buffers": "16MB",
    "statement_timeout": "5min",
    "log_statement": "mod",
    "shared_preload_libraries": "auth_delay,auto_explain,pg_prewarm,pg_stat_statements",
    "pg_prewarm.autoprewarm": "off",
    "pg_stat_statements.track": "all",
}


class Cluster:
    """One running server whose pg_hba.conf trusts the socket; files of tests go beside its data."""

    def __init__(
        self, major: int, binaries: Path, folder: Path, groups: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.major = major
        self.binaries = binaries
        self.data = folder / "data"
        self.socket = folder
        self.hba_file = folder / "tested_hba.conf"
        self.ident_file = folder / "tested_ident.conf"
        self.rendered = server_settings(major, 5432, "TLSv1.3", EXTRA_SETTINGS, groups)
        self.environment = environment

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A program of the server's release as the server's user."""
        return subprocess.run(
            [*server_user().prefix, self.binaries / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.socket,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", **self.environment},
        )

    def connect(self, user: str = "postgres", database: str = "postgres") -> psycopg.Connection:
        """A session over the socket, in autocommit."""
        return psycopg.connect(
            host=str(self.socket),
            port=5432,
            user=user,
            dbname=database,
            autocommit=True,
            client_encoding="utf8",
        )

    def write(self, path: Path, text: str) -> None:
        """Put `text` where the server's views read it."""
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(pem)
    (folder / "server.key").chmod(0o600)


@pytest.fixture(scope="session")
def clusters(postgresql_binaries: Callable[[int], Path]) -> Iterator[Callable[[int], Cluster]]:
    """A function from major to its running cluster, started when first asked for."""
    root = Path(tempfile.mkdtemp(prefix="pgpl-"))
    root.chmod(0o755)
    running: dict[int, Cluster] = {}

    def cluster(major: int) -> Cluster:
        if major not in running:
            running[major] = start(major, postgresql_binaries(major), root / str(major))
        return running[major]

    yield cluster
    for server in running.values():
        server.run("pg_ctl", "stop", "-D", str(server.data), "-m", "immediate", "-w")
    shutil.rmtree(root)


def start(
    major: int,
    binaries: Path,
    folder: Path,
    *,
    groups: Sequence[str] = default_groups(ssl.OPENSSL_VERSION_INFO),
    environment: Mapping[str, str] = MappingProxyType({}),
    port: int | None = None,
) -> Cluster:
    """A running cluster in a new folder; with a port it listens on 127.0.0.1 too."""
    folder.mkdir()
    _certificate(folder)
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "postgres", "postgres")
    server = Cluster(major, binaries, folder, groups, environment)
    server.write(server.hba_file, "local all all trust\n")
    server.write(server.ident_file, "")
    done = server.run(
        "initdb",
        *("-D", str(server.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"),
        *("-N", "--no-instructions"),
    )
    assert done.returncode == 0, done.stderr
    # The servers run with what the program renders, and what a machine adds to it.
    machine = {
        "fsync": "off",
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "log_directory": str(folder / "log"),
        "hba_file": str(server.hba_file),
        "ident_file": str(server.ident_file),
        "ssl_cert_file": str(folder / "server.crt"),
        "ssl_key_file": str(folder / "server.key"),
    }
    if port is not None:
        machine |= {"listen_addresses": "127.0.0.1", "port": str(port)}
    with (server.data / "postgresql.conf").open("a") as conf:
        conf.write(render_postgresql_conf(server.rendered | machine))
    log = str(folder / "server.log")
    done = server.run("pg_ctl", "start", "-D", str(server.data), "-l", log, "-w", "-s")
    assert done.returncode == 0, (done.stderr, Path(log).read_text() if Path(log).exists() else "")
    return server


@pytest.fixture(params=SUPPORTED_MAJORS)
def cluster(request: pytest.FixtureRequest, clusters: Callable[[int], Cluster]) -> Cluster:
    """The running cluster of each major in turn."""
    return clusters(request.param)
