"""The settings of each driver for RDS: verified, a fresh token for each connection, none in a string."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pgpasswordless.connections import Connections
from pgpasswordless.drivers import Driver, render
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.libpq import psql_command
from pgpasswordless.reference import TOKEN_EXAMPLE
from pgpasswordless.stack import Stack
from pgpasswordless.token_login import token_command

# What asks for a token when a connection is opened, and what verifies chain and host name.
FRESH = {
    Driver.LIBPQ: 'PGPASSWORD="$(',
    Driver.PSYCOPG: "kwargs=source.keywords(",
    Driver.SQLALCHEMY: '"do_connect", source.do_connect',
    Driver.SQLALCHEMY_ASYNCPG: '"password": source.without_blocking',
    Driver.ASYNCPG: "password=source.without_blocking",
    Driver.PGJDBC: "wrapperPlugins=iam",
    Driver.NPGSQL: "UsePeriodicPasswordProvider",
    Driver.NODE_POSTGRES: "password: () => signer.getAuthToken()",
    Driver.PGX: "connection.Password = token",
}
VERIFIED = {
    Driver.SQLALCHEMY_ASYNCPG: "ssl.create_default_context(cafile=",
    Driver.ASYNCPG: "ssl.create_default_context(cafile=",
    Driver.NPGSQL: "SSL Mode=VerifyFull",
    Driver.NODE_POSTGRES: "ssl: { ca: readFileSync(",
}


@pytest.mark.parametrize("driver", Driver)
def test_every_driver_verifies_and_asks_for_a_fresh_token(driver: Driver) -> None:
    settings = render(driver, TOKEN_EXAMPLE)
    assert FRESH[driver] in settings.snippet
    snippet = settings.snippet.replace("sslmode='verify-full'", "sslmode=verify-full")
    assert VERIFIED.get(driver, "sslmode=verify-full") in snippet
    assert settings.files == ("/etc/pgtls/root.crt",)
    assert "/etc/pgtls/root.crt" in settings.snippet.replace("%2F", "/")
    for text in (TOKEN_EXAMPLE.host, "app_user"):
        assert text in settings.snippet
    assert settings.notes


@pytest.mark.parametrize("driver", Driver)
def test_no_setting_holds_a_token_a_certificate_or_a_weaker_mode(driver: Driver) -> None:
    text = render(driver, TOKEN_EXAMPLE).model_dump_json()
    for word in ("X-Amz", "sslcert", "client.key", "sslmode=require&", "rejectUnauthorized: false,"):
        assert word not in text


@pytest.mark.parametrize(
    "driver", [driver for driver in Driver if driver not in {Driver.LIBPQ, Driver.ASYNCPG}]
)
def test_the_pool_closes_connections_in_time(driver: Driver) -> None:
    pool = render(driver, TOKEN_EXAMPLE).pool
    assert pool is not None
    assert pool.value == (3_600_000 if driver is Driver.PGJDBC else 3600)


def test_the_region_is_named_where_the_driver_signs_by_itself() -> None:
    for driver in (Driver.PGJDBC, Driver.NPGSQL, Driver.NODE_POSTGRES, Driver.PGX):
        assert "eu-central-1" in render(driver, TOKEN_EXAMPLE).snippet.replace(TOKEN_EXAMPLE.host, "")


def test_a_name_that_a_url_cannot_carry_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="cannot carry the database name"):
        render(Driver.PGX, replace(TOKEN_EXAMPLE, dbname="/a"))


def test_the_psql_command_asks_for_the_token_when_it_runs() -> None:
    command = psql_command(TOKEN_EXAMPLE)
    assert command.startswith(
        'PGPASSWORD="$(python -m pgpasswordless token --stack prod --database rds --role'
    )
    assert f"sslmode=verify-full sslrootcert={TOKEN_EXAMPLE.trust}" in command


@pytest.fixture
def stack() -> Callable[..., Stack]:
    document = Connections.model_validate(
        {
            "schemaVersion": 1,
            "stack": "prod",
            "databases": {
                "rds": {
                    "host": TOKEN_EXAMPLE.host,
                    "port": 5432,
                    "database": "app",
                    "serverCa": {
                        "pem": "",
                        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    },
                    "minimumProtocol": "TLSv1.2",
                    "authentication": "iam",
                    "region": "eu-central-1",
                    "roles": {"it's me": {"database": "app", "connectArn": "arn:aws:rds-db:x"}},
                }
            },
        }
    )

    def made(**options: object) -> Stack:
        return Stack(name="prod", connections=document, **options)  # type: ignore[arg-type]

    return made


def words(stack: Stack) -> list[str]:
    return [word for word in shlex.split(token_command(stack, "rds", "it's me")) if "=" not in word]


def test_the_token_command_names_the_stack_by_its_context(
    stack: Callable[..., Stack], tmp_path: Path
) -> None:
    found = stack(reference=("--stack", "prod"), contexts=tmp_path / "a folder")
    assert words(found) == [
        *(sys.executable, "-m", "pgpasswordless", "token", "--stack", "prod"),
        *("--database", "rds", "--role", "it's me"),
    ]
    assert f"PGPASSWORDLESS_CONTEXTS='{tmp_path}/a folder'" in token_command(found, "rds", "it's me")


def test_what_only_pulumi_knows_is_named_by_its_address(stack: Callable[..., Stack]) -> None:
    assert words(stack(reference=("--stack", "prod")))[4:] == [
        *("--host", TOKEN_EXAMPLE.host, "--port", "5432", "--user", "it's me", "--region", "eu-central-1"),
    ]


def test_a_published_document_is_asked_for_again(stack: Callable[..., Stack]) -> None:
    assert words(stack(reference=("--parameter", "/p/prod")))[4:6] == ["--parameter", "/p/prod"]
