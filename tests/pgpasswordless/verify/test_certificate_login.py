"""`verify` against real servers: all green where all is well, exit status 1 where it is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from typer.testing import CliRunner

from pgpasswordless.__main__ import app

GOOD = """\
local all all trust
hostssl all postgres all reject
hostssl all all all cert
host all all all reject
"""
# What does not depend on the server's version is tested with one.
one_server = pytest.mark.parametrize("server", [18], indirect=True)


def verify(*options: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["verify", "--stack", "test", "--json", *options])
    return result.exit_code, json.loads(result.stdout)


def failed(document: dict[str, Any]) -> set[str]:
    return {check["name"] for check in document["checks"] if not check["passed"]}


def test_all_is_well(deployed: Any, server: Any, log_group: str) -> None:
    status, document = verify("--require-rule")
    assert failed(document) == set()
    assert (status, document["passed"], document["schemaVersion"]) == (0, True, 1)
    roles = sorted(deployed.document["databases"]["self-managed"]["roles"])
    assert [login["role"] for login in document["logins"]] == roles
    for login in document["logins"]:
        assert login["tlsVersion"] == "TLSv1.3"
        assert login["cipher"].startswith("TLS_")
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", login["certificateNotAfter"])
        assert login["rule"]["method"] == "cert"
        assert login["rule"]["line"] in {3, 4}
        assert login["sessionUser"] == login["role"]
    identities = {login["role"]: login["identity"] for login in document["logins"]}
    expected = "cert:CN=app_user,O=test" if server.major >= 16 else "/O=test/CN=app_user"
    assert identities["app_user"] == expected
    refused = {
        "without-certificate-refused",
        "without-tls-refused",
        "superuser-refused",
        "other-certificate-refused",
        "older-protocol-refused",
    }
    for role in roles:
        names = {check["name"] for check in document["checks"] if check["role"] == role}
        assert names == refused | {"login", "minimum-protocol", "identity", "rule"}


def test_the_table(
    deployed: Any, server: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "a password of this machine")
    result = CliRunner().invoke(app, ["verify", "--stack", "test"])
    assert result.exit_code == 0, result.output
    header = result.stdout.splitlines()[0].split("  ")
    columns = [column.strip() for column in header if column.strip()]
    assert columns == [
        "role",
        "database",
        "result",
        "TLS",
        "cipher",
        "certificate expiry",
        "rule used",
        "identity seen",
    ]
    assert "unknown: the connections document names no log group" in result.stdout
    assert "FATAL: connection requires a valid client certificate" in result.stdout
    assert result.stdout.splitlines()[-1] == "all 24 checks passed"
    assert "\x1b" not in result.stdout
    # libpq writes its warnings past Python.
    assert "WARNING" not in capfd.readouterr().err


@one_server
def test_the_rule_is_required_only_on_request(deployed: Any) -> None:
    status, document = verify("--require-rule")
    assert status == 1
    assert failed(document) == {"rule"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hostnossl all all all trust", {"without-tls-refused"}),
        ("hostnossl all all all scram-sha-256", {"without-tls-refused"}),
        (
            "hostssl app all all trust",
            {"without-certificate-refused", "other-certificate-refused", "superuser-refused", "rule"},
        ),
        ("hostssl postgres postgres all trust", {"superuser-refused"}),
        (
            "hostssl all app_user all trust clientcert=verify-ca",
            {"other-certificate-refused", "rule"},
        ),
    ],
)
def test_a_server_with_a_way_in_fails(
    deployed: Any, server: Any, log_group: str, line: str, expected: set[str]
) -> None:
    # PostgreSQL 15 logs nothing for trust: where the rule is expected to fail, nothing is waited for.
    deadline = "0" if "rule" in expected else "30"
    with server.hba(f"{line}\n{GOOD}"):
        status, document = verify("--require-rule", "--rule-deadline", deadline)
    assert status == 1
    assert failed(document) == expected | (
        {"identity"} if server.major >= 16 and "rule" in expected else set()
    )


@one_server
def test_a_server_that_accepts_an_older_protocol_fails(deployed: Any, server: Any) -> None:
    with server.superuser() as connection:
        connection.execute("ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1.2'")
    try:
        with server.hba(GOOD):
            status, document = verify()
    finally:
        with server.superuser() as connection:
            connection.execute("ALTER SYSTEM RESET ssl_min_protocol_version")
        with server.hba(GOOD):
            pass
    assert (status, failed(document)) == (1, {"older-protocol-refused"})


@one_server
def test_a_full_server_is_no_proof(deployed: Any, server: Any) -> None:
    with server.superuser() as connection:
        connection.execute("ALTER ROLE app_user CONNECTION LIMIT 0")
    try:
        with server.hba(f"hostssl all app_user all trust\n{GOOD}"):
            _, document = verify()
    finally:
        with server.superuser() as connection:
            connection.execute("ALTER ROLE app_user CONNECTION LIMIT -1")
    login = next(login for login in document["logins"] if login["role"] == "app_user")
    assert "too many connections" in login["detail"]
    assert failed(document) == {"login"}
    assert not [c for c in document["checks"] if c["role"] == "app_user" and c["name"] != "login"]


@one_server
def test_a_role_that_may_not_log_in_fails(deployed: Any, server: Any) -> None:
    with server.superuser() as connection:
        connection.execute(sql.SQL("ALTER ROLE reporting NOLOGIN"))
    try:
        status, document = verify()
    finally:
        with server.superuser() as connection:
            connection.execute(sql.SQL("ALTER ROLE reporting LOGIN"))
    assert (status, failed(document)) == (1, {"login"})
    login = next(login for login in document["logins"] if login["role"] == "reporting")
    assert not login["succeeded"]
    assert "not permitted to log in" in login["detail"]


@one_server
def test_nobody_can_log_in(deployed: Any, server: Any) -> None:
    with server.hba("local all all trust\nhost all all all reject\n"):
        status, document = verify()
    assert (status, failed(document)) == (1, {"login", "refusals"})


def test_expired_and_foreign_identities_fail(deployed: Any, server: Any, authority: Any, boto: Any) -> None:
    secrets = boto("secretsmanager")
    expired = server.client_authority.secret("app_user", start=-9, days=-1)
    secrets.put_secret_value(SecretId=deployed.secrets["app_user"], SecretString=expired)
    foreign = authority.secret("reporting")
    secrets.put_secret_value(SecretId=deployed.secrets["reporting"], SecretString=foreign)
    result = CliRunner().invoke(app, ["verify", "--stack", "test", "--json"])
    document = json.loads(result.stdout)
    details = {login["role"]: login["detail"] for login in document["logins"]}
    assert "the certificate expired at" in details["app_user"]
    assert "alert unknown ca" in details["reporting"]
    assert result.exit_code == 1
    for secret in (expired, foreign):
        for word in json.loads(secret)["privateKey"].splitlines()[1:-1]:
            assert word not in result.output


@one_server
def test_a_database_of_rds_that_is_not_there_fails_beside_one_that_is_well(deployed: Any) -> None:
    database = deployed.document["databases"]["self-managed"]
    roles = {
        "app_user": {"database": "app", "connectArn": "arn:aws:rds-db:eu-central-1:1:dbuser:db-X/app_user"}
    }
    deployed.document["databases"]["rds"] = database | {
        "port": 1,
        "authentication": "iam",
        "region": "eu-central-1",
        "roles": roles,
    }
    deployed.save()
    status, document = verify()
    assert (status, failed(document)) == (1, {"login", "refusals"})
    assert {check["database"] for check in document["checks"] if not check["passed"]} == {"rds"}
    assert verify("--database", "self-managed")[0] == 0


@one_server
def test_one_role_is_said_to_leave_a_check_out(deployed: Any) -> None:
    roles = deployed.document["databases"]["self-managed"]["roles"]
    deployed.document["databases"]["self-managed"]["roles"] = {"app_user": roles["app_user"]}
    deployed.save()
    status, document = verify()
    assert status == 0
    assert document["notes"] == [
        "database 'self-managed' has only one role, so no other role's certificate could be tried",
    ]


@one_server
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"databases": {}}, [], "error: stack 'test' has no database to verify; deploy one"),
        ({}, ["--database", "x"], "error: stack 'test' has no database 'x'; it has: self-managed"),
        ({"schemaVersion": 2}, [], "schemaVersion: Input should be 1"),
    ],
)
def test_an_error_is_one_without_traceback(
    deployed: Any, change: dict[str, Any], options: list[str], message: str
) -> None:
    deployed.document.update(change)
    deployed.save()
    command = [sys.executable, "-m", "pgpasswordless", "verify", "--stack", "test", *options]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(_repository())}
    )
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@one_server
def test_the_connections_file_is_enough(deployed: Any, environment: dict[str, str], monkeypatch: Any) -> None:
    (deployed.folder / ".pgpasswordless" / "test.json").unlink()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["verify", "--connections", "connections.json"])
    assert result.exit_code == 0, result.output


def _repository() -> Path:
    return Path(__file__).parents[3]
