"""Many clients at once through the RDS endpoint."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.behaviour.conftest import RunningSandbox
from tests.behaviour.rds_sandbox import RdsServer

pytestmark = pytest.mark.sandbox

CLIENTS = 50


@pytest.fixture(scope="module")
def server(whole_sandbox: RunningSandbox) -> RdsServer:
    """A deployed RDS instance."""
    return RdsServer(sandbox=whole_sandbox)


def pgbench(server: RdsServer, *options: str) -> str:
    """pgbench as the administrator, over verify-full with a token."""
    program = Path(os.environ["PASSWORDLESS_POSTGRES_TEST_BINARIES"]) / "17/bin/pgbench"
    completed = subprocess.run(
        [program, *options, "app"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "PGHOST": server.database.host,
            "PGPORT": str(server.database.port),
            "PGUSER": "pgpl_admin",
            "PGPASSWORD": server.token("pgpl_admin", server.operator),
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(server.bundle),
            "PGGSSENCMODE": "disable",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


@pytest.mark.long
def test_fifty_clients_see_no_error_for_a_minute(server: RdsServer) -> None:
    pgbench(server, "--initialize", "--quiet", "--scale=5")
    output = pgbench(server, f"--client={CLIENTS}", "--jobs=2", "--time=60", "--no-vacuum")
    assert re.search(r"number of failed transactions: 0 ", output), output
    processed = re.search(r"number of transactions actually processed: (\d+)", output)
    assert processed is not None
    assert int(processed[1]) > CLIENTS
    with server.login("app_user") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
