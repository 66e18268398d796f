# ruff: noqa: S608 - the SQL here is put together from constants
"""The administrator of a new instance: created and corrected by the master, logged in by IAM."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError

import functions.roles.administrator
import functions.roles.credentials
from runtime.errors import FailedError
from tests.functions.roles.conftest import (
    ADMINISTRATOR,
    HBA,
    PASSWORD,
    Clock,
    Invocation,
    RdsLikeServer,
    certificate,
)
from tests.postgres.rds_roles import MASTER

ATTRIBUTES = f"""
    SELECT rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolpassword,
           pg_has_role(oid, 'rds_iam', 'USAGE')
    FROM pg_authid WHERE rolname = '{ADMINISTRATOR}'"""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each reading of the master's secret."""
    seen: list[str] = []
    read = functions.roles.administrator.read_master

    def spied(secret_arn: str, region: str) -> functions.roles.credentials.Master:
        seen.append(secret_arn)
        return read(secret_arn, region)

    monkeypatch.setattr(functions.roles.administrator, "read_master", spied)
    return seen


def test_a_new_instance_gets_an_administrator_and_nothing_else(
    invoke: Invocation, server: RdsLikeServer, reads: list[str]
) -> None:
    outcome = invoke(None)
    assert (outcome.outcome, outcome.message) == (
        "applied",
        f"localhost:{server.port}: administrator pgpl_admin logs in by IAM",
    )
    assert server.sql(ATTRIBUTES) == [(False, True, True, True, False, False, None, True)]
    assert server.sql("SELECT count(*) FROM pg_database WHERE NOT datistemplate") == [(1,)]
    state = server.catalogue()
    again = invoke(None)
    assert (again.outcome, again.steps) == ("applied", 0)
    assert server.catalogue() == state
    assert len(reads) == 1, "the secret is read only while there is no administrator"


def test_the_master_stays_out_of_iam(invoke: Invocation, server: RdsLikeServer) -> None:
    assert invoke().outcome == "applied"
    for role in ("rds_iam", ADMINISTRATOR):
        assert server.sql(f"SELECT pg_has_role('{MASTER}', '{role}', 'USAGE')") == [(False,)]


def test_a_changed_administrator_is_mended(
    invoke: Invocation, server: RdsLikeServer, reads: list[str]
) -> None:
    invoke()
    state = server.catalogue()
    server.sql(f"ALTER ROLE {ADMINISTRATOR} NOCREATEDB NOCREATEROLE CONNECTION LIMIT 4")
    server.sql(f"REVOKE CREATE ON DATABASE postgres FROM {ADMINISTRATOR}")
    assert server.catalogue() != state
    assert invoke().outcome == "applied"
    assert server.catalogue() == state
    server.sql(f"ALTER ROLE {ADMINISTRATOR} NOLOGIN")
    assert invoke().outcome == "applied"
    assert server.catalogue() == state
    assert len(reads) == 3


def test_what_the_master_cannot_mend_is_refused(invoke: Invocation, server: RdsLikeServer) -> None:
    invoke()
    server.sql(f"ALTER ROLE {ADMINISTRATOR} BYPASSRLS")
    outcome = invoke()
    assert outcome.outcome == "refused"
    assert outcome.message == (
        f"administrator pgpl_admin of localhost:{server.port} bypasses row-level security, which the master "
        "cannot change; drop the role or choose another name"
    )


def test_the_master_is_no_administrator(invoke: Invocation) -> None:
    outcome = invoke(None, administrator=MASTER)
    assert outcome.outcome == "refused"
    assert "is the master user" in outcome.message


def test_a_permission_that_is_on_its_way_is_waited_for(invoke: Invocation, server: RdsLikeServer) -> None:
    server.write_hba(f"hostssl all {ADMINISTRATOR} all reject\n{HBA}")
    clock = Clock(while_sleeping=lambda: server.write_hba(HBA))
    assert invoke(None, clock=clock).outcome == "applied"
    assert clock.now > 0
    server.write_hba(f"hostssl all {ADMINISTRATOR} all reject\n{HBA}")
    clock = Clock()
    outcome = invoke(None, clock=clock)
    assert outcome.outcome == "refused"
    assert f"login refused by localhost:{server.port} as {ADMINISTRATOR}" in outcome.message
    assert "pg_hba.conf rejects connection" in outcome.message
    assert 50 < clock.now < 70


def test_a_secret_that_may_not_be_read_yet_is_asked_for_again(
    invoke: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = functions.roles.administrator.read_master
    refusals = [functions.roles.credentials.SecretAccessDenied("AccessDenied")]

    def slowly(*args: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return read(*args)

    monkeypatch.setattr(functions.roles.administrator, "read_master", slowly)
    assert invoke(None).outcome == "applied"


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDeniedException", True), ("ResourceNotFoundException", False)]
)
def test_only_a_missing_permission_is_waited_for(
    code: str, kind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        def get_secret_value(self, **_: str) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "words"}}, "GetSecretValue")

    monkeypatch.setattr(functions.roles.credentials.boto3, "client", lambda *_, **__: Client())
    with pytest.raises(FailedError, match=r"arn:secret cannot be read: .*words") as caught:
        functions.roles.credentials.read_master("arn:secret", "eu-central-1")
    assert isinstance(caught.value, functions.roles.credentials.SecretAccessDenied) is kind


def test_a_secret_that_is_missing_or_something_else_is_told(invoke: Invocation) -> None:
    missing = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:none-AbCdEf"
    outcome = invoke(None, master_secret_arn=missing)
    assert outcome.outcome == "failed"
    assert f"the master's secret {missing} cannot be read" in outcome.message
    client = functions.roles.credentials.boto3.client("secretsmanager", region_name="eu-central-1")
    for text in ("password-marker", '{"username": "x"}', "[1]"):
        client.put_secret_value(SecretId=invoke.secret_arn, SecretString=text)
        outcome = invoke(None)
        assert outcome.outcome == "failed"
        assert "is not the JSON" in outcome.message
        assert "password-marker" not in outcome.message


def test_a_wrong_password_is_refused_by_the_server_s_words(invoke: Invocation, server: RdsLikeServer) -> None:
    server.sql(f"ALTER ROLE {MASTER} PASSWORD 'another'")
    outcome = invoke(None)
    assert outcome.outcome == "refused"
    assert f'password authentication failed for user "{MASTER}"' in outcome.message


def test_a_server_of_another_authority_or_name_is_refused(
    invoke: Invocation, server: RdsLikeServer, tmp_path: Any
) -> None:
    outcome = invoke(None, server_ca_pem=certificate(tmp_path))
    assert outcome.outcome == "refused"
    assert "certificate verify failed" in outcome.message
    outcome = invoke(None, host="127.0.0.1")
    assert outcome.outcome == "refused"
    assert "IP address mismatch" in outcome.message
    outcome = invoke(None, server_ca_pem="no certificate")
    assert "server-ca.pem holds no certificates" in outcome.message
    assert server.sql(ATTRIBUTES) == []


def test_nothing_secret_is_said(
    invoke: Invocation, server: RdsLikeServer, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    with caplog.at_level(logging.DEBUG, logger="functions.roles"):
        outcomes = [invoke(), invoke(None, server_ca_pem=certificate(tmp_path))]
        server.sql(f"ALTER ROLE {MASTER} PASSWORD 'another'; ALTER ROLE {ADMINISTRATOR} NOLOGIN")
        outcomes.append(invoke())
    assert [each.outcome for each in outcomes] == ["applied", "refused", "refused"]
    assert "create role app_reader" in caplog.text
    said = caplog.text + repr(outcomes)
    for marker in (PASSWORD, "X-Amz-Signature", "secret-key-marker", "session-token-marker"):
        assert marker not in said
