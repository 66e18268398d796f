"""Login by certificate: what particular drivers are given. What holds for all is in test_every_driver."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgpasswordless.drivers import Driver, render
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.reference import EXAMPLE

QUERY = (
    "sslmode=verify-full&sslrootcert=%2Fetc%2Fpgtls%2Froot.crt&sslcert=%2Fetc%2Fpgtls%2Fclient.crt"
    "&sslkey=%2Fetc%2Fpgtls%2Fclient.key"
)
LIBPQ = (
    "host=postgres.db.internal port=5432 dbname=app user=app_user sslmode=verify-full"
    " sslrootcert=/etc/pgtls/root.crt sslcert=/etc/pgtls/client.crt sslkey=/etc/pgtls/client.key"
    " gssencmode=disable"
)
ADDRESS = "app_user@postgres.db.internal:5432/app"
STRINGS = {
    "libpq": LIBPQ,
    "psycopg": LIBPQ,
    "sqlalchemy": f"postgresql+psycopg://{ADDRESS}?{QUERY}&gssencmode=disable",
    "sqlalchemy-asyncpg": f"postgresql+asyncpg://{ADDRESS}",
    "asyncpg": f"postgresql://{ADDRESS}?{QUERY}",
    "pgjdbc": (
        "jdbc:postgresql://postgres.db.internal:5432/app?user=app_user&sslmode=verify-full"
        "&sslrootcert=%2Fetc%2Fpgtls%2Froot.crt&sslcert=%2Fetc%2Fpgtls%2Fclient.crt"
        "&sslkey=%2Fetc%2Fpgtls%2Fclient.pk8"
    ),
    "npgsql": (
        "Host=postgres.db.internal;Port=5432;Database=app;Username=app_user;SSL Mode=VerifyFull;"
        "Root Certificate=/etc/pgtls/root.crt;SSL Certificate=/etc/pgtls/client.crt;"
        "SSL Key=/etc/pgtls/client.key"
    ),
    "node-postgres": f"postgresql://{ADDRESS}?{QUERY}",
    "pgx": f"postgresql://{ADDRESS}?{QUERY}",
}


POOLS = {
    "libpq": None,
    "psycopg": ("psycopg_pool.ConnectionPool(max_lifetime=)", 3600, "seconds"),
    "sqlalchemy": ("pool_recycle", 3600, "seconds"),
    "sqlalchemy-asyncpg": ("pool_recycle", 3600, "seconds"),
    "asyncpg": None,
    "pgjdbc": ("HikariCP maxLifetime", 3_600_000, "milliseconds"),
    "npgsql": ("Connection Lifetime", 3600, "seconds"),
    "node-postgres": ("maxLifetimeSeconds", 3600, "seconds"),
    "pgx": ("pgxpool.Config.MaxConnLifetime", 3600, "seconds"),
}


@pytest.mark.parametrize("driver", STRINGS)
def test_the_connection_string(driver: str) -> None:
    assert render(Driver(driver), EXAMPLE).connection_string == STRINGS[driver]


@pytest.mark.parametrize("driver", POOLS)
def test_the_pool_closes_connections_in_time(driver: str) -> None:
    pool = render(Driver(driver), EXAMPLE).pool
    assert (pool and (pool.setting, pool.value, pool.unit)) == POOLS[driver]


@pytest.mark.parametrize("driver", STRINGS)
def test_the_key_is_in_the_form_that_the_driver_reads(driver: str) -> None:
    key = "client.pk8" if driver == "pgjdbc" else "client.key"
    assert Path(render(Driver(driver), EXAMPLE).files[-1]).name == key


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("pgjdbc", ["42.7.9", "pemKeyAlgorithm=EC", "42.7.12", "sslNegotiation=direct"]),
        ("npgsql", ["6.0", "9.0", "10", "Trust Server Certificate"]),
        ("node-postgres", ["8.22", "not both"]),
        ("pgx", ["v5", "5.7.5", "5.10", "BeforeConnect"]),
        ("asyncpg", ["0.30"]),
        ("libpq", ["libpq >= 16", "libpq >= 17"]),
    ],
)
def test_the_notes_name_the_versions(driver: str, words: list[str]) -> None:
    notes = " ".join(render(Driver(driver), EXAMPLE).notes)
    assert [word for word in words if word not in notes] == []


@pytest.mark.parametrize("driver", ["asyncpg", "pgx", "sqlalchemy-asyncpg", "node-postgres"])
def test_drivers_that_would_send_gssencmode_to_the_server_do_not_get_it(driver: str) -> None:
    assert "gssencmode" not in render(Driver(driver), EXAMPLE).connection_string


@pytest.mark.parametrize(
    ("driver", "dbname"), [("node-postgres", "a?b"), ("node-postgres", ".."), ("pgx", "/a")]
)
def test_a_name_that_a_url_cannot_carry_is_refused(driver: str, dbname: str) -> None:
    with pytest.raises(NotSupportedError, match="cannot carry the database name"):
        render(Driver(driver), replace(EXAMPLE, dbname=dbname))


def test_an_ipv6_host_is_in_brackets() -> None:
    settings = render(Driver("pgx"), replace(EXAMPLE, host="fd00::1"))
    assert "@[fd00::1]:5432/" in settings.connection_string


def test_settings_are_json() -> None:
    document = json.loads(render(Driver("psycopg"), EXAMPLE).model_dump_json(by_alias=True))
    assert document["connectionString"] == LIBPQ
    assert document["pool"]["unit"] == "seconds"
