"""Connection strings are found in any text, and accepted only if they verify the server completely."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.text.connection_strings import connection_strings

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)


def problems(text: str) -> list[list[str]]:
    return [found.problems() for found in connection_strings(text)]


@settings(max_examples=40)
@given(WORDS, WORDS, WORDS, st.sampled_from(["disable", "allow", "prefer", "require", "verify-ca"]))
def test_every_weaker_mode_is_found_however_it_is_written(host: str, user: str, name: str, mode: str) -> None:
    for text in (
        f"host={host} user={user} dbname={name} sslmode={mode}",
        f"postgresql://{user}@{host}/{name}?sslmode={mode}",
        f"postgresql+asyncpg://{user}@{host}/{name}?sslmode={mode}",
        f"jdbc:postgresql://{host}/{name}?user={user}&sslmode={mode}",
        f"export DSN=\"host={host} dbname='{name}' user={user} sslmode = {mode}\"",
    ):
        assert [each[0] for each in problems(text)] == [f"sslmode is {mode}; expected verify-full"], text


@pytest.mark.parametrize(
    "text",
    [
        "host=a dbname=b user=c sslmode=verify-full sslrootcert=ca.pem",
        "postgresql://c@a/b?sslmode=verify-full&sslrootcert=ca.pem",
        "Host=a;Username=c;Database=b;SSL Mode=VerifyFull;Root Certificate=ca.pem;",
        "psql 'host=a port=5432 \\\n dbname=b user=c sslmode=verify-full sslrootcert=system'",
    ],
)
def test_what_verifies_everything_is_good(text: str) -> None:
    assert problems(text) == [[]]


@pytest.mark.parametrize(
    "text",
    [
        "jdbc:postgresql://db.example:5432/app?ssl=true",
        "JDBC:postgresql://db.example/app?user=app&ssl=TRUE&loginTimeout=3",
        "jdbc:postgresql://db1.example,db2.example/app?ssl",
        "postgresql+asyncpg://app@db.example/app?ssl=verify-full",
        "postgresql+asyncpg://app@db.example/app?ssl=true",
        "Host=db.example;Username=app;Database=app;SSL Mode=VerifyFull;",
        "host=db.example user=app dbname=app sslmode=verify-full",
    ],
)
def test_what_verifies_by_the_drivers_own_default_is_good_but_names_no_authority(text: str) -> None:
    [found] = connection_strings(text)
    assert found.problems() == []
    assert found.trusts_by_default


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://app@localhost/app",
        "postgresql://app@127.0.0.1:5432/app?sslmode=disable",
        "postgresql://app@[::1]:5432/app",
        "postgresql:///app?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/app",
        "postgresql:///app",
        "postgresql://app@db.example/app?hostaddr=127.0.0.1",
        "host=/run/postgresql dbname=app user=app",
        "host=localhost,127.0.0.2 dbname=app user=app sslmode=disable",
        "Host=localhost;Username=app;Database=app;",
        "jdbc:postgresql://localhost:5432/app",
    ],
)
def test_what_stays_on_the_machine_needs_no_verification(text: str) -> None:
    [found] = connection_strings(text)
    assert found.problems() == []
    assert not found.trusts_by_default


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://app@db.example/app?ssl=true",  # to libpq: require
        "jdbc:postgresql://db.example/app?ssl=false",
        "jdbc:postgresql://db.example/app?ssl=true&sslmode=require",
        "postgresql+asyncpg://app@db.example/app?ssl=require",
        "postgresql+asyncpg://app@db.example/app?ssl=verify-ca",
        "postgresql://app@localhost,db.example/app",
        "postgresql://app@localhost.example/app",
        "postgresql://app@127.db.example/app",
        "postgresql://localhost@db.example/app",
        "postgresql://app@localhost/app?host=db.example",
        "host=localhost hostaddr=10.0.0.5 dbname=app user=app",
        "PGHOST=db.example psql postgresql:///app",
    ],
)
def test_what_only_looks_as_if_it_verified_or_stayed_is_weak(text: str) -> None:
    [found] = [each for each in connection_strings(text) if each.kind]
    assert found.problems() != []


@pytest.mark.parametrize(
    "text",
    ["", "x = 1\ny = 2", "host=a", "The host is reached by port 5432.", "https://a.example/?sslmode=require"],
)
def test_what_is_no_connection_string_is_left_alone(text: str) -> None:
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://c:swordfish@a/b", True),
        ("host=a dbname=b user=c password=swordfish", True),
        ("Host=a;Username=c;Password=swordfish;Database=b", True),
        ("postgresql://c:$PASSWORD@a/b", False),
        ("host=a dbname=b user=c password=${PASSWORD}", False),
        ("postgresql://c@a/b", False),
    ],
)
def test_a_password_is_told_from_a_variable(text: str, expected: bool) -> None:
    assert [each.has_password for each in connection_strings(text)] == [expected]


def test_neither_a_password_nor_an_odd_mode_is_repeated() -> None:
    [found] = connection_strings("host=a dbname=b user=c password=swordfish sslmode=Sword.Fish")
    assert "swordfish" not in repr(found) + str(found.problems()).lower().replace(".", "")


@settings(max_examples=40)
@given(st.text())
def test_any_text_can_be_searched(text: str) -> None:
    for each in connection_strings(f"host={text} user=a;postgres://{text}"):
        each.problems()
