"""The settings of each driver, word for word, and the generated page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgpasswordless import reference
from pgpasswordless.drivers import Driver, render
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.reference import EXAMPLE

DOCS = Path(__file__).parents[2] / "docs"
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
    Driver.LIBPQ: LIBPQ,
    Driver.PSYCOPG: LIBPQ,
    Driver.SQLALCHEMY: f"postgresql+psycopg://{ADDRESS}?{QUERY}&gssencmode=disable",
    Driver.SQLALCHEMY_ASYNCPG: f"postgresql+asyncpg://{ADDRESS}",
    Driver.ASYNCPG: f"postgresql://{ADDRESS}?{QUERY}",
    Driver.PGJDBC: (
        "jdbc:postgresql://postgres.db.internal:5432/app?user=app_user&sslmode=verify-full"
        "&sslrootcert=%2Fetc%2Fpgtls%2Froot.crt&sslcert=%2Fetc%2Fpgtls%2Fclient.crt"
        "&sslkey=%2Fetc%2Fpgtls%2Fclient.pk8"
    ),
    Driver.NPGSQL: (
        "Host=postgres.db.internal;Port=5432;Database=app;Username=app_user;SSL Mode=VerifyFull;"
        "Root Certificate=/etc/pgtls/root.crt;SSL Certificate=/etc/pgtls/client.crt;"
        "SSL Key=/etc/pgtls/client.key"
    ),
    Driver.NODE_POSTGRES: f"postgresql://{ADDRESS}?{QUERY}",
    Driver.PGX: f"postgresql://{ADDRESS}?{QUERY}",
}


@pytest.mark.parametrize("driver", Driver)
def test_the_connection_string(driver: Driver) -> None:
    assert render(driver, EXAMPLE).connection_string == STRINGS[driver]


@pytest.mark.parametrize("driver", Driver)
def test_every_driver_verifies_and_names_its_files(driver: Driver) -> None:
    settings = render(driver, EXAMPLE)
    verified = settings.snippet.replace("VerifyFull", "verify-full")
    assert "verify-full" in verified or "create_default_context" in verified
    key = "client.pk8" if driver is Driver.PGJDBC else "client.key"
    assert [Path(path).name for path in settings.files] == ["root.crt", "client.crt", key]
    for path in settings.files:
        assert path in settings.snippet.replace("%2F", "/")
    assert "password" not in settings.snippet.lower()
    assert settings.notes


@pytest.mark.parametrize(
    ("driver", "value"),
    [
        (Driver.PSYCOPG, 3600),
        (Driver.SQLALCHEMY, 3600),
        (Driver.SQLALCHEMY_ASYNCPG, 3600),
        (Driver.PGJDBC, 3_600_000),
        (Driver.NPGSQL, 3600),
        (Driver.NODE_POSTGRES, 3600),
        (Driver.PGX, 3600),
    ],
)
def test_the_pool_closes_connections_in_time(driver: Driver, value: int) -> None:
    pool = render(driver, EXAMPLE).pool
    assert pool is not None
    assert pool.value == value


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (Driver.PGJDBC, ["42.7.9", "pemKeyAlgorithm=EC", "42.7.12", "sslNegotiation=direct"]),
        (Driver.NPGSQL, ["6.0", "9.0", "10", "Trust Server Certificate"]),
        (Driver.NODE_POSTGRES, ["8.22", "not both"]),
        (Driver.PGX, ["v5", "5.7.5", "5.10", "BeforeConnect"]),
        (Driver.ASYNCPG, ["0.30"]),
        (Driver.LIBPQ, ["libpq >= 16", "libpq >= 17"]),
    ],
)
def test_the_notes_name_the_versions(driver: Driver, words: list[str]) -> None:
    notes = " ".join(render(driver, EXAMPLE).notes)
    assert [word for word in words if word not in notes] == []


@pytest.mark.parametrize(
    "driver", [Driver.ASYNCPG, Driver.PGX, Driver.SQLALCHEMY_ASYNCPG, Driver.NODE_POSTGRES]
)
def test_drivers_that_would_send_gssencmode_to_the_server_do_not_get_it(driver: Driver) -> None:
    assert "gssencmode" not in render(driver, EXAMPLE).connection_string


@pytest.mark.parametrize(
    ("driver", "dbname"), [(Driver.NODE_POSTGRES, "a?b"), (Driver.NODE_POSTGRES, ".."), (Driver.PGX, "/a")]
)
def test_a_name_that_a_url_cannot_carry_is_refused(driver: Driver, dbname: str) -> None:
    with pytest.raises(NotSupportedError, match="cannot carry the database name"):
        render(driver, replace(EXAMPLE, dbname=dbname))


def test_an_ipv6_host_is_in_brackets() -> None:
    settings = render(Driver.PGX, replace(EXAMPLE, host="fd00::1"))
    assert "@[fd00::1]:5432/" in settings.connection_string


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (reference.DRIVERS_NAME, reference.drivers_text()),
        (reference.SCHEMA_NAME, reference.schema_text()),
    ],
)
def test_the_generated_documentation_is_up_to_date(name: str, text: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == text, "run: python -m pgpasswordless.reference docs"


def test_settings_are_json() -> None:
    document = json.loads(render(Driver.PSYCOPG, EXAMPLE).model_dump_json(by_alias=True))
    assert document["connectionString"] == LIBPQ
    assert document["pool"]["unit"] == "seconds"
