"""IAM tokens of the postgresql stand-in: signed once, for one host, user and region."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from emulator.endpoint.credentials import AccessKey, Credentials
from emulator.postgresql import PostgresqlProvider
from emulator.rds.data_plane.token import Expected, ExpiredToken, InvalidToken, read_token, verify

ROLE = "postgresql:index/role:Role"
CONFIGURATION = {
    "host": "localhost",
    "port": "5433",
    "username": "pgpl_admin",
    "sslmode": "verify-full",
    "awsRdsIamAuth": "true",
    "awsRdsIamRegion": "eu-central-1",
}
EXPECTED = Expected(host="localhost", port=5433, region="eu-central-1", user="pgpl_admin")


@pytest.fixture
def key(tmp_path: Path) -> AccessKey:
    return Credentials(tmp_path / "aws").operator


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the stand-in gives as password whenever it connects; nothing answers."""
    seen: list[str] = []

    def connection(**given: Any) -> None:
        seen.append(given["password"])
        raise psycopg.OperationalError("not really")

    monkeypatch.setattr(psycopg, "connect", connection)
    return seen


@pytest.fixture
def attempt(
    serve: Callable[[Provider], ProviderServer], connect: Callable[..., Any], key: AccessKey
) -> Callable[..., str]:
    """Two connections of one provider instance; what the engine is told of the second."""

    def connected_twice(credentials: AccessKey | None = key, **changes: str) -> str:
        configuration = {name: value for name, value in {**CONFIGURATION, **changes}.items() if value}
        client = connect(serve(PostgresqlProvider(credentials)), configuration)
        told = ""
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as refused:
                client.create(ROLE, {"name": "x"})
            told = str(refused.value.details())  # type: ignore[attr-defined]
        return told

    return connected_twice


def test_one_token_serves_every_connection_and_ends_after_15_minutes(
    attempt: Callable[..., str], passwords: list[str], key: AccessKey
) -> None:
    told = attempt()
    assert len(passwords) == 2
    assert len(set(passwords)) == 1
    token, now = read_token(passwords[0]), datetime.now(UTC)
    verify(token, EXPECTED, key.secret_access_key, now)
    with pytest.raises(ExpiredToken):
        verify(token, EXPECTED, key.secret_access_key, now + timedelta(minutes=15))
    assert passwords[0] not in told
    assert token.values["X-Amz-Signature"] not in told


def test_without_a_region_it_is_signed_for_none(
    attempt: Callable[..., str], passwords: list[str], key: AccessKey
) -> None:
    attempt(awsRdsIamRegion="")
    token = read_token(passwords[0])
    with pytest.raises(InvalidToken, match="another region"):
        verify(token, EXPECTED, key.secret_access_key, datetime.now(UTC))
    assert "//rds-db/aws4_request" in token.scope


def test_without_credentials_nothing_connects(attempt: Callable[..., str], passwords: list[str]) -> None:
    assert "failed to refresh cached credentials" in attempt(None)
    assert passwords == []


def test_without_iam_the_password_is_the_password(attempt: Callable[..., str], passwords: list[str]) -> None:
    attempt(awsRdsIamAuth="false", password="given")
    assert set(passwords) == {"given"}
