"""Databases, roles and grants on RDS: who makes them, and what is left when something fails."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from emulator.rds.configuration import SOCKET_PORT
from emulator.rds.model import ADMINISTRATOR
from node.short_path import socket_directory
from tests.behaviour.conftest import ROOT, RunningSandbox, deployed, make_sandbox
from tests.behaviour.rds_sandbox import RdsServer
from tests.behaviour.test_database_roles import CATALOGUE

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def by_function() -> Iterator[RdsServer]:
    """An RDS instance whose roles the function makes."""
    yield from (RdsServer(sandbox=each) for each in deployed(make_sandbox(17, "rds")))


@pytest.fixture(scope="module")
def by_provider(sandbox_by_provider: RunningSandbox) -> RdsServer:
    """An RDS instance whose roles pulumi-postgresql makes, as the administrator by IAM."""
    return RdsServer(sandbox=sandbox_by_provider)


def catalogue(server: RdsServer) -> dict[str, list[Any]]:
    with server.login("app_user") as connection:
        return {name: connection.execute(query.encode()).fetchall() for name, query in CATALOGUE.items()}


def test_function_and_provider_end_with_the_same_catalogue(
    by_function: RdsServer, by_provider: RdsServer
) -> None:
    ours = catalogue(by_function)
    assert [row[0] for row in ours["roles"] if not row[0].startswith("rds")] == [
        "app_readonly",
        "app_user",
        "pgpl_admin",
        "pgpl_master",
        "reporting",
    ]
    assert catalogue(by_provider) == ours


def test_the_administrator_is_an_iam_user_and_the_master_is_not(by_function: RdsServer) -> None:
    with by_function.login("app_user") as connection:
        members = connection.execute(
            "SELECT member::regrole::text FROM pg_auth_members m "
            "WHERE roleid = 'rds_iam'::regrole AND (m.inherit_option OR m.set_option) ORDER BY 1"
        ).fetchall()
        superusers = connection.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall()
    assert [row[0] for row in members] == ["app_readonly", "app_user", "pgpl_admin", "reporting"]
    assert superusers == [("rdsadmin",)]


def test_who_may_invoke_the_function_chooses_neither_server_nor_declaration(by_function: RdsServer) -> None:
    (described,) = by_function.sandbox.state.glob("functions/*/function.json")
    function = json.loads(described.read_text())["name"]
    calls = by_function.client("lambda")

    def answer(**event: Any) -> dict[str, Any]:
        payload = json.dumps({"schemaVersion": 2, "declaration": None, **event}).encode()
        return json.loads(calls.invoke(FunctionName=function, Payload=payload)["Payload"].read())

    with socket.create_server(("127.0.0.1", 0)) as attackers:
        attackers.setblocking(False)
        elsewhere = answer(host="localhost", port=attackers.getsockname()[1], serverCaPem="the attacker's")
        with pytest.raises(BlockingIOError):
            attackers.accept()
    assert elsewhere["outcome"] == "refused"
    for key in ("host", "port", "serverCaPem"):
        assert f"{key}: unknown" in elsewhere["message"]
    another = answer()
    assert another["outcome"] == "refused"
    assert "the function's configuration allows" in another["message"]


def test_no_role_of_the_declaration_has_a_password(by_function: RdsServer) -> None:
    """As the server itself sees it, which on RDS nobody can ask."""
    query = "SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL"
    assert as_superuser(by_function.sandbox, query) == ["pgpl_master"]


def as_superuser(sandbox: RunningSandbox, query: str) -> list[str]:
    """One column of a query by the server's own superuser, over its private socket."""
    (home,) = sandbox.state.glob("rds/*/server")
    with psycopg.connect(
        host=str(socket_directory(home / "socket")),
        port=SOCKET_PORT,
        user=ADMINISTRATOR,
        dbname="app",
        autocommit=True,
    ) as connection:
        cursor = connection.execute(query.encode())
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


@pytest.mark.long
def test_a_change_by_hand_is_put_back_by_the_schedule(by_function: RdsServer) -> None:
    sandbox = by_function.sandbox
    as_superuser(sandbox, "ALTER ROLE app_user NOINHERIT CREATEDB")
    (log,) = sandbox.state.glob("functions/*/function.log")

    @retry(retry=retry_if_result(lambda said: not said), stop=stop_after_delay(420), wait=wait_fixed(0.2))
    def said() -> bool:
        return "put back: attributes of role app_user" in log.read_text()

    said()
    assert '"CatalogueDrift": 1' in log.read_text()
    query = "SELECT rolinherit AND NOT rolcreatedb FROM pg_roles WHERE rolname = 'app_user'"
    assert as_superuser(sandbox, query) == [True]


def test_a_changed_declaration_is_applied_a_refused_one_is_the_updates_error_and_a_revert_is_applied(
    by_function: RdsServer,
) -> None:
    sandbox = by_function.sandbox
    original = sandbox.stack_file.read_text()
    as_superuser(sandbox, "CREATE SCHEMA strangers")

    def without_reporting(section: dict[str, Any]) -> None:
        del section["roles"]["reporting"]
        section["roles"]["app_readonly"]["grants"].append(
            {"schema": "public", "onAll": "sequences", "privileges": ["select"]}
        )

    def on_a_schema_of_somebody_else(section: dict[str, Any]) -> None:
        section["roles"]["app_user"]["grants"].append({"schema": "strangers", "privileges": ["usage"]})

    token = by_function.token("reporting")
    try:
        sandbox.edit(without_reporting, "rds")
        sandbox.deployed()
        with pytest.raises(
            psycopg.OperationalError, match=r"PAM authentication failed|not permitted to log in"
        ):
            by_function.login("reporting", token)
        with by_function.login("app_user") as connection:
            found = connection.execute(
                "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'reporting'"
            ).fetchone()
        assert found == (False,)

        sandbox.edit(on_a_schema_of_somebody_else, "rds")
        failed = sandbox.up()
        assert failed.returncode == 1
        assert "strangers" in failed.stdout
        assert "permission denied" in failed.stdout
        assert "Traceback" not in failed.stdout
        with by_function.login("app_user") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        sandbox.stack_file.write_text(original)
        sandbox.deployed()
    with by_function.login("reporting") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("reporting",)
    assert "unchanged" in sandbox.deployed().stdout


def pgpasswordless(sandbox: RunningSandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgpasswordless", *arguments],
        cwd=ROOT,
        env=sandbox.environment,
        text=True,
        capture_output=True,
        check=False,
    )


def test_verify_is_green_and_show_prints_a_line_that_works(by_function: RdsServer) -> None:
    sandbox = by_function.sandbox
    verified = pgpasswordless(sandbox, "verify", "--stack", "sandbox", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    document = json.loads(verified.stdout)
    assert {login["role"] for login in document["logins"]} == {"app_user", "app_readonly", "reporting"}
    shown = pgpasswordless(
        sandbox, "show", "--stack", "sandbox", "--database", "rds", "--role", "app_readonly", "--json"
    )
    assert shown.returncode == 0, shown.stderr
    line = json.loads(shown.stdout)["psql"]
    answer = subprocess.run(
        ["sh", "-c", f"{line} -Atc 'SELECT current_user'"],
        cwd="/",
        text=True,
        capture_output=True,
        check=False,
    )
    assert answer.stdout.strip() == "app_readonly", answer.stderr
