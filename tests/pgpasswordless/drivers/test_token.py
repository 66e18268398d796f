"""The settings of each driver for RDS: verified, a fresh token for each connection, none in a string."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgpasswordless.drivers import Driver, render
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.libpq import psql_command
from pgpasswordless.reference import TOKEN_EXAMPLE

# What asks for a token when a connection is opened, and what verifies chain and host name.
FRESH = {
    "libpq": 'PGPASSWORD="$(',
    "psycopg": "kwargs=source.keywords(",
    "sqlalchemy": '"do_connect", source.do_connect',
    "sqlalchemy-asyncpg": '"password": source.without_blocking',
    "asyncpg": "password=source.without_blocking",
    "pgjdbc": "wrapperPlugins=iam",
    "npgsql": "UsePeriodicPasswordProvider",
    "node-postgres": "password: () => signer.getAuthToken()",
    "pgx": "connection.Password = token",
}
VERIFIED = {
    "sqlalchemy-asyncpg": "ssl.create_default_context(cafile=",
    "asyncpg": "ssl.create_default_context(cafile=",
    "npgsql": "SSL Mode=VerifyFull",
    "node-postgres": "ssl: { ca: readFileSync(",
}


@pytest.mark.parametrize("driver", FRESH)
def test_a_token_is_requested_for_each_connection(driver: str) -> None:
    assert FRESH[driver] in render(Driver(driver), TOKEN_EXAMPLE).snippet


@pytest.mark.parametrize("driver", FRESH)
def test_chain_and_host_name_are_verified(driver: str) -> None:
    snippet = render(Driver(driver), TOKEN_EXAMPLE).snippet.replace(
        "sslmode='verify-full'", "sslmode=verify-full"
    )
    assert VERIFIED.get(driver, "sslmode=verify-full") in snippet
    assert "/etc/pgtls/root.crt" in snippet.replace("%2F", "/")


def test_the_region_is_named_where_the_driver_signs_by_itself() -> None:
    for driver in ("pgjdbc", "npgsql", "node-postgres", "pgx"):
        assert "eu-central-1" in render(Driver(driver), TOKEN_EXAMPLE).snippet.replace(TOKEN_EXAMPLE.host, "")


def test_a_name_that_a_url_cannot_carry_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="cannot carry the database name"):
        render(Driver("pgx"), replace(TOKEN_EXAMPLE, dbname="/a"))


def test_the_psql_command_asks_for_the_token_when_it_runs() -> None:
    command = psql_command(TOKEN_EXAMPLE)
    assert command.startswith(
        'PGPASSWORD="$(python -m pgpasswordless token --stack prod --database rds --role'
    )
    assert f"sslmode=verify-full sslrootcert={TOKEN_EXAMPLE.trust}" in command
