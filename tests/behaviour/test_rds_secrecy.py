"""The master's password and tokens stay where they belong."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from tests.behaviour.conftest import RunningSandbox
from tests.behaviour.rds_sandbox import RdsServer

pytestmark = pytest.mark.sandbox

SIGNATURE = "X-Amz-Signature="


@pytest.fixture(scope="module")
def server(whole_sandbox: RunningSandbox) -> RdsServer:
    """A deployed RDS instance to which somebody has logged in."""
    server = RdsServer(sandbox=whole_sandbox)
    with server.login("app_user"):
        pass
    return server


@pytest.fixture(scope="module")
def password(server: RdsServer) -> str:
    """The master's password, from the secret that RDS keeps."""
    secrets = server.client("secretsmanager")
    (name,) = [
        each["ARN"] for each in secrets.list_secrets()["SecretList"] if each["Name"].startswith("rds!db-")
    ]
    found = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
    assert found["username"] == "pgpl_master"
    assert len(found["password"]) >= 20
    return found["password"]


def test_the_password_is_not_in_the_engines_state(server: RdsServer, password: str) -> None:
    """Not even encrypted: the state is read with its secrets in plain text."""
    assert password not in json.dumps(server.sandbox.exported_state(secrets=True))


def test_neither_password_nor_token_is_in_any_log_or_document(server: RdsServer, password: str) -> None:
    state = server.sandbox.state
    read = 0
    for path in state.rglob("*"):
        if (
            not path.is_file()
            or path.is_symlink()
            or path.suffix not in {".log", ".json", ".conf", ".txt", ""}
        ):
            continue
        if "aws" in path.relative_to(state).parts or "postgresql" in path.relative_to(state).parts[:1]:
            continue
        text = path.read_text(errors="replace")
        read += 1
        assert password not in text, path
        assert SIGNATURE not in text, path
    assert read > 10


def test_neither_is_in_what_commands_print(server: RdsServer, password: str) -> None:
    for said in server.sandbox.said_by_up:
        assert password not in said
        assert SIGNATURE not in said
    assert " created" in server.sandbox.said_by_up[0]
    for command in (["up", "--stack-file", str(server.sandbox.stack_file)], ["status", "--json"], ["logs"]):
        completed = server.sandbox.run(*command)
        assert completed.returncode == 0, completed.stdout
        assert password not in completed.stdout, command
        assert SIGNATURE not in completed.stdout, command


def test_neither_is_an_argument_of_a_process(server: RdsServer, password: str) -> None:
    for process in psutil.process_iter(["cmdline"]):
        arguments = " ".join(process.info["cmdline"] or [])
        assert password not in arguments
        assert SIGNATURE not in arguments


def test_the_password_works_for_nobody_over_the_network_without_tls(server: RdsServer, password: str) -> None:
    """The master can log in with it over TLS, which is how the function does; that is the control."""
    with server.login("pgpl_master", password, dbname="postgres") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("pgpl_master",)
    with pytest.raises(Exception, match="no encryption"):
        server.login("pgpl_master", password, dbname="postgres", sslmode="disable")


def test_the_bundle_is_the_sandboxs_own(server: RdsServer) -> None:
    assert Path(server.bundle).read_text().count("BEGIN CERTIFICATE") >= 1
