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
