"""Tokens against an RDS endpoint that verifies them: `show`, `token`, every Python driver, and `verify`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import psycopg
import psycopg_pool
import pytest
import sqlalchemy
from psycopg import sql
from typer.testing import CliRunner

import pgpasswordless
from emulator.rds.model import Instance
from pgpasswordless.__main__ import app
from pgpasswordless.directories import context_file
from pgpasswordless.login import token_source
from pgpasswordless.tokens import LIFE_SECONDS
from postgres.rds_parameters import Parameter
from tests.emulator.rds.conftest import REGION, Cloud, connect_arn, eventually
from tests.pgpasswordless.conftest import ODD_DATABASE, ODD_ROLE

ROLES = {"app_user": "app", "reporting": "app", ODD_ROLE: ODD_DATABASE}
SESSION_USER = "SELECT session_user"


@pytest.fixture(scope="module")
def cloud(postgresql_binaries: Callable[[int], Path]) -> Iterator[Cloud]:
    running = Cloud(postgresql_binaries)
    yield running
    running.close()


@pytest.fixture(scope="module")
def instance(cloud: Cloud) -> Instance:
    found = cloud.instance()
    with cloud.master(found) as connection:
        for database in dict.fromkeys(ROLES.values()):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        for role in ROLES:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            connection.execute(sql.SQL("GRANT rds_iam TO {}").format(sql.Identifier(role)))
    return found


@pytest.fixture
def document(cloud: Cloud, instance: Instance) -> dict[str, Any]:
    pem = cloud.databases.bundle.read_text()
    return {
        "schemaVersion": 1,
        "stack": "test",
        "databases": {
            "rds": {
                "host": "localhost",
                "port": instance.port,
                "database": "app",
                "serverCa": {"pem": pem, "sha256": hashlib.sha256(pem.encode()).hexdigest()},
                "minimumProtocol": "TLSv1.3",
                "authentication": "iam",
                "region": REGION,
                "resourceId": instance.resource_id,
                "roles": {
                    role: {
                        "database": database,
                        "connectArn": connect_arn(instance, role),
                        "maxLifetimeSeconds": 1800,
                    }
                    for role, database in ROLES.items()
                },
            }
        },
    }


@pytest.fixture
def stack(
    cloud: Cloud,
    document: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgresql_binaries: Callable[[int], Path],
) -> Path:
    """The folder of the stack's document, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGPASSWORDLESS_CONTEXTS", raising=False)
    (tmp_path / ".pgpasswordless").mkdir()
    (tmp_path / "connections.json").write_text(json.dumps(document))
    context = {
        "connections": str(tmp_path / "connections.json"),
        "environment": cloud.aws.operator_environment,
        "psql": str(postgresql_binaries(18) / "psql"),
    }
    context_file("test", tmp_path / ".pgpasswordless").write_text(json.dumps(context))
    return tmp_path


@pytest.fixture(params=["app_user", "odd"])
def role(request: pytest.FixtureRequest) -> str:
    return "app_user" if request.param == "app_user" else ODD_ROLE


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def show(stack: Path, role: str) -> Callable[..., dict[str, Any]]:
    def shown(*options: str) -> dict[str, Any]:
        result = run("show", "--stack", "test", "--database", "rds", "--role", role, "--json", *options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return shown


@pytest.fixture
def snippet(
    show: Callable[..., dict[str, Any]], cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, Any]]:
    """Runs the snippet of a driver with AWS's variables, as an application would."""
    for name, value in cloud.aws.operator_environment.items():
        monkeypatch.setenv(name, value)

    def executed(driver: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(show("--driver", driver)["driver"]["snippet"], names)  # noqa: S102  it is what is tested
        return names

    return executed


def verify(*options: str) -> tuple[int, dict[str, Any]]:
    result = run("verify", "--stack", "test", "--json", *options)
    return result.exit_code, json.loads(result.stdout)


def failed(document: dict[str, Any]) -> set[str]:
    return {check["name"] for check in document["checks"] if not check["passed"]}


def test_the_psql_command_works_as_printed_from_any_directory(
    show: Callable[..., dict[str, Any]], role: str
) -> None:
    command = show()["psql"]
    result = subprocess.run(
        ["sh", "-c", command + f" -XAtc {shlex.quote(SESSION_USER)}"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    assert (result.stdout, result.stderr) == (f"{role}\n", "")
    assert "X-Amz" not in command


def test_a_login_through_a_tunnel_is_verified_and_signed_as_without(
    show: Callable[..., dict[str, Any]], document: dict[str, Any], role: str
) -> None:
    endpoint = document["databases"]["rds"]["port"]
    near = socket.create_server(("127.0.0.1", 0))
    near.settimeout(20)

    def relay(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            sink.sendall(data)
        # psql ends without waiting for the server's half.
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def forward() -> None:
        with near, near.accept()[0] as client, socket.create_connection(("127.0.0.1", endpoint)) as server:
            back = threading.Thread(target=relay, args=(server, client))
            back.start()
            relay(client, server)
            back.join()

    forwarding = threading.Thread(target=forward)
    forwarding.start()
    port = near.getsockname()[1]
    shown = show("--hostaddr", "127.0.0.1", "--port", str(port))
    assert f"host=localhost hostaddr=127.0.0.1 port={port} " in shown["psql"]
    command = shown["psql"] + f" -XAtc {shlex.quote(SESSION_USER)}"
    assert subprocess.check_output(["sh", "-c", command], text=True) == f"{role}\n"
    forwarding.join()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hostaddr", "tunnel.example.org", "--port", "1"], "--hostaddr 'tunnel.example.org' is not an IP"),
        (["--hostaddr", "127.0.0.1"], "--hostaddr needs --port"),
        (["--port", "5433"], "--hostaddr '' is not an IP address"),
    ],
)
def test_a_tunnel_is_an_address_and_a_port(stack: Path, options: list[str], said: str) -> None:
    result = run("show", "--stack", "test", "--database", "rds", "--role", "app_user", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_only_the_authorities_are_put_in_place(show: Callable[..., dict[str, Any]], stack: Path) -> None:
    shown = show()
    root = Path(shown["files"]["rootCertificate"])
    assert {path.name for path in root.parent.iterdir() if path.is_file()} == {"root.crt"}
    assert root.is_relative_to(stack / ".pgpasswordless" / "test" / "rds")
    assert shown["certificateNotAfter"] is None


def test_the_token_command_prints_a_token_and_nothing_else(stack: Path, document: dict[str, Any]) -> None:
    result = run("token", "--stack", "test", "--database", "rds", "--role", "app_user")
    assert (result.exit_code, result.stderr) == (0, "")
    (token,) = result.stdout.splitlines()
    root = stack / "root.crt"
    root.write_text(document["databases"]["rds"]["serverCa"]["pem"])
    where: dict[str, Any] = {
        "host": "localhost",
        "port": document["databases"]["rds"]["port"],
        "dbname": "app",
    }
    trust: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": str(root), "gssencmode": "disable"}
    with psycopg.connect(**where, **trust, user="app_user", password=token) as connection:
        assert connection.execute(SESSION_USER).fetchone() == ("app_user",)
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        psycopg.connect(**where, **trust, user="reporting", password=token)


def test_a_token_without_a_stack(stack: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.aws.operator_environment.items():
        monkeypatch.setenv(name, value)
    # The host says the region; the machine's own says nothing of a database elsewhere.
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    place = ["--host", "db.abc.eu-west-1.rds.amazonaws.com", "--port", "6432", "--user", "me"]
    result = run("token", *place)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("db.abc.eu-west-1.rds.amazonaws.com:6432/?Action=connect&DBUser=me&")
    refused = run("token", *place, "--region", "eu-central-1")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "is in region 'eu-west-1'" in refused.stderr
    tunnel = run("token", "--host", "localhost", "--port", "5433", "--user", "me", "--region", "eu-west-1")
    assert (tunnel.exit_code, tunnel.stdout) == (1, "")
    assert "hostaddr=127.0.0.1 port=5433" in tunnel.stderr
    both = run("token", *place, "--stack", "test")
    assert (both.exit_code, both.stdout) == (1, "")
    assert "give one or the other" in both.stderr


def test_a_certificate_database_has_no_tokens(stack: Path, document: dict[str, Any]) -> None:
    database = document["databases"]["rds"]
    roles = {"app_user": {"database": "app", "secretArn": "arn:aws:secretsmanager:eu-central-1:1:secret:x"}}
    document["databases"]["rds"] = database | {"authentication": "certificate", "roles": roles}
    (stack / "connections.json").write_text(json.dumps(document))
    result = run("token", "--stack", "test", "--database", "rds", "--role", "app_user")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "uses authentication 'certificate', so there are no tokens" in result.stderr


def test_the_psycopg_snippet_logs_in(snippet: Callable[[str], dict[str, Any]], role: str) -> None:
    with snippet("psycopg")["pool"] as pool, pool.connection() as connection:
        assert connection.execute(SESSION_USER).fetchone() == (role,)


def test_an_application_with_a_stack_needs_few_lines(stack: Path, role: str) -> None:
    loaded = pgpasswordless.load("test")
    settings = pgpasswordless.settings_for("psycopg", loaded, database="rds", role=role)
    assert "password" not in settings.keywords
    token = pgpasswordless.token_source(loaded, "rds", role)
    with psycopg.connect(**settings.keywords, password=token()) as connection:
        assert connection.execute(SESSION_USER).fetchone() == (role,)


def test_the_sqlalchemy_snippet_logs_in(snippet: Callable[[str], dict[str, Any]], role: str) -> None:
    engine = snippet("sqlalchemy")["engine"]
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text(SESSION_USER)).scalar_one() == role
    engine.dispose()


def test_the_sqlalchemy_asyncpg_snippet_logs_in(
    snippet: Callable[[str], dict[str, Any]], role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in test_login: an asynchronous engine needs greenlet.
    given: dict[str, Any] = {}
    module = SimpleNamespace(create_async_engine=lambda url, **options: given.update(options, url=url))
    monkeypatch.setitem(sys.modules, "sqlalchemy.ext.asyncio", module)  # type: ignore[arg-type]
    snippet("sqlalchemy-asyncpg")
    url = sqlalchemy.make_url(given["url"])
    _, arguments = url.get_dialect()().create_connect_args(url)

    async def session_user() -> str:
        connection = await asyncpg.connect(**arguments, **given["connect_args"])
        try:
            return await connection.fetchval(SESSION_USER)
        finally:
            await connection.close()

    assert asyncio.run(session_user()) == role


def test_the_asyncpg_snippet_logs_in(snippet: Callable[[str], dict[str, Any]], role: str) -> None:
    make = snippet("asyncpg")["pool"]

    async def session_user() -> str:
        async with await make() as pool:
            return await pool.fetchval(SESSION_USER)

    assert asyncio.run(session_user()) == role


def test_a_pool_that_grows_after_its_first_token_expired_takes_a_new_one(
    stack: Path, cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = pgpasswordless.load("test")
    settings = pgpasswordless.settings_for("psycopg", loaded, database="rds", role="app_user")
    now = [1_800_000_000.0]
    source = pgpasswordless.TokenSource(
        host="localhost",
        port=settings.keywords["port"],
        user="app_user",
        region=REGION,
        session=loaded.aws.session(),
        known_endpoint=True,
        clock=lambda: now[0],
    )
    # Whether a token is asked for anew shows in what the pool is given.
    given = []
    fresh = source.keywords(**settings.keywords)

    def kwargs() -> dict[str, Any]:
        given.append(dict(fresh()))
        return dict(given[-1])

    with (
        caplog.at_level(logging.DEBUG),
        psycopg_pool.ConnectionPool(kwargs=kwargs, min_size=1, max_size=2) as pool,
        ExitStack() as held,
    ):
        pool.wait()
        first = held.enter_context(pool.connection())
        signed_at = given[0]["password"].partition("X-Amz-Date=")[2][:16]
        # Tokens are dated by the second.
        eventually(lambda: _dated(loaded) != signed_at)
        now[0] += LIFE_SECONDS
        second = held.enter_context(pool.connection())
        assert second.execute(SESSION_USER).fetchone() == first.execute(SESSION_USER).fetchone()
    assert len({parameters["password"] for parameters in given}) == 2
    for parameters in given:
        assert parameters["password"] not in caplog.text
        assert parameters["password"].rpartition("=")[2] not in caplog.text


def _dated(loaded: Any) -> str:
    return token_source(loaded, "rds", "app_user")().partition("X-Amz-Date=")[2][:16]


def test_all_is_well(stack: Path) -> None:
    status, found = verify()
    assert (status, failed(found), found["notes"]) == (0, set(), [])
    assert [login["role"] for login in found["logins"]] == sorted(ROLES)
    for login in found["logins"]:
        assert login["tlsVersion"] == "TLSv1.3"
        assert login["cipher"].startswith("TLS_")
        assert login["identity"] == f"iam:{login['role']}"
        assert login["authentication"] == "iam"
    for role in ROLES:
        assert {check["name"] for check in found["checks"] if check["role"] == role} == {
            "login",
            "minimum-protocol",
            "iam-user",
            "without-tls-refused",
            "password-refused",
            "tampered-token-refused",
            "expired-token-refused",
            "other-authority-refused",
            "other-token-refused",
            "older-protocol-refused",
        }
    assert [check["name"] for check in found["checks"] if check["role"] is None] == ["parameters"]


def test_the_endpoint_saw_an_expired_token_and_a_tampered_one(
    stack: Path, cloud: Cloud, instance: Instance
) -> None:
    verify()
    said = eventually(lambda: cloud.login_log(instance))
    assert "ExpiredToken" in said
    assert "the signature does not match" in said
    assert "it is for another user" in said


def test_the_table_has_no_certificate_and_no_rule(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "a password of this machine")
    with_secrets = run("verify", "--stack", "test")
    assert with_secrets.exit_code == 0, with_secrets.output
    row = next(line for line in with_secrets.stdout.splitlines() if line.startswith("app_user"))
    assert row.split()[-3:] == ["n/a", "n/a", "iam:app_user"]
    assert "X-Amz" not in with_secrets.output


def test_what_the_caller_may_not_describe_is_a_note(
    stack: Path, cloud: Cloud, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": connect_arn(instance, "*")}
    key = cloud.role("may-only-connect", allowed)
    path = context_file("test", stack / ".pgpasswordless")
    context = json.loads(path.read_text())
    context["environment"] |= key.environment()
    path.write_text(json.dumps(context))
    status, found = verify()
    assert (status, failed(found)) == (0, set())
    assert (
        "whether the parameters of database 'rds' are applied is not known: AccessDenied" in found["notes"][0]
    )


def test_who_may_not_connect_as_a_role_fails_for_that_role(
    stack: Path, cloud: Cloud, instance: Instance
) -> None:
    allowed = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": connect_arn(instance, "app_user")}
    key = cloud.role("may-be-one-role", allowed)
    path = context_file("test", stack / ".pgpasswordless")
    context = json.loads(path.read_text())
    context["environment"] |= key.environment()
    path.write_text(json.dumps(context))
    status, found = verify()
    assert (status, failed(found)) == (1, {"login"})
    assert {login["role"] for login in found["logins"] if login["succeeded"]} == {"app_user"}


def test_a_role_with_a_password_of_its_own_is_no_iam_user(
    stack: Path, cloud: Cloud, instance: Instance
) -> None:
    with cloud.master(instance) as connection:
        connection.execute("REVOKE rds_iam FROM reporting")
    try:
        status, found = verify()
    finally:
        with cloud.master(instance) as connection:
            connection.execute("GRANT rds_iam TO reporting")
    assert (status, failed(found)) == (1, {"login"})
    assert verify()[0] == 0


def test_an_instance_that_takes_an_older_protocol_fails(
    stack: Path, cloud: Cloud, instance: Instance
) -> None:
    def minimum(protocol: str) -> None:
        changed = Parameter(name="ssl_min_protocol_version", value=protocol, apply_method="immediate")
        cloud.set_parameters(instance.identifier, changed)

    minimum("TLSv1.2")
    try:
        status, found = verify()
    finally:
        minimum("TLSv1.3")
    assert (status, failed(found)) == (1, {"older-protocol-refused"})
    assert verify()[0] == 0


def test_another_authority_in_the_document_fails(
    stack: Path, document: dict[str, Any], authority: Any
) -> None:
    pem = authority.pem
    document["databases"]["rds"]["serverCa"] = {
        "pem": pem,
        "sha256": hashlib.sha256(pem.encode()).hexdigest(),
    }
    (stack / "connections.json").write_text(json.dumps(document))
    status, found = verify()
    assert (status, failed(found)) == (1, {"login", "refusals"})
    assert "certificate verify failed" in found["logins"][0]["detail"]


def test_a_pending_parameter_fails_until_the_instance_is_rebooted(
    stack: Path, cloud: Cloud, instance: Instance
) -> None:
    cloud.set_parameters(
        instance.identifier,
        Parameter(name="max_connections", value="77", apply_method="pending-reboot"),
    )
    status, found = verify()
    assert (status, failed(found)) == (1, {"parameters"})
    cloud.rebooted(instance.identifier)
    assert verify()[0] == 0
