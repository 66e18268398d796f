"""Tokens: what AWS's own presigner makes is taken, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.rds.data_plane.token import Expected, ExpiredToken, InvalidToken, read_token, verify

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EXPECTED = Expected(host="localhost", port=25432, region="eu-central-1", user="app")


def token(
    *,
    netloc: str = "localhost:25432",
    user: str = "app",
    action: str = "connect",
    region: str = "eu-central-1",
    service: str = "rds-db",
    expires: int = 900,
    secret: str = SECRET,
    session: str | None = None,
    signed_at: datetime = NOW,
    path: str = "/",
) -> str:
    """A token by botocore's own signer."""
    url = f"https://{netloc}{path}?Action={action}&DBUser={quote(user, safe='')}"
    request = AWSRequest(method="GET", url=url)
    credentials = Credentials("AKIAEXAMPLE", secret, session)
    with patch("botocore.auth.get_current_datetime", return_value=signed_at):
        SigV4QueryAuth(credentials, service, region, expires=expires).add_auth(request)
    return str(request.url).removeprefix("https://")


def check(text: str, *, now: datetime = NOW, expected: Expected = EXPECTED) -> None:
    verify(read_token(text), expected, SECRET, now)


@pytest.mark.parametrize(
    "now",
    [NOW, NOW + timedelta(seconds=899), NOW - timedelta(minutes=5)],
    ids=["fresh", "old", "clock behind"],
)
def test_a_token_is_taken_as_long_as_it_lives(now):
    check(token(), now=now)


@pytest.mark.parametrize("session", [None, "FwoGZXIvYXdzEBYaD/+=="])
def test_a_token_of_awss_go_sdk_has_no_slash(session):
    text = token(session=session).replace("/?", "?", 1)
    assert text.startswith("localhost:25432?Action=connect")
    check(text)
    with pytest.raises(InvalidToken, match="another user"):
        check(text, expected=replace(EXPECTED, user="other"))
    for other in (text.replace("?", "//?", 1), text.replace("?", "??", 1), text.replace("?", "", 1)):
        with pytest.raises(InvalidToken):
            check(other)


def test_a_token_ends_to_the_second_and_a_future_one_is_refused():
    with pytest.raises(ExpiredToken):
        check(token(), now=NOW + timedelta(seconds=900))
    with pytest.raises(InvalidToken, match="future"):
        check(token(), now=NOW - timedelta(minutes=5, seconds=1))


def test_the_session_token_is_signed_and_found():
    text = token(session="FwoGZXIvYXdzEBYaD/+==")
    assert read_token(text).session_token == "FwoGZXIvYXdzEBYaD/+=="
    check(text)
    with pytest.raises(InvalidToken, match="signature"):
        check(text.replace("FwoGZX", "FwoGZY"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"netloc": "localhost:5432"}, "host or port"),
        ({"netloc": "127.0.0.1:25432"}, "host or port"),
        ({"user": "admin"}, "user"),
        ({"user": "APP"}, "user"),
        ({"action": "listen"}, "user"),
        ({"region": "eu-west-1"}, "region"),
        ({"service": "rds"}, "region or service"),
        ({"expires": 901}, "900 seconds"),
        ({"expires": 604800}, "900 seconds"),
        ({"secret": "another"}, "signature"),
        ({"path": "/x"}, "presigned request to /"),
    ],
)
def test_a_token_for_something_else_is_refused(changes, words):
    with pytest.raises(InvalidToken, match=words):
        check(token(**changes))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "localhost:25432/",
        "localhost:25432/?Action=connect&DBUser=app",
        "https://" + "localhost:25432/?Action=connect",
        token() + "&DBUser=admin",
        token() + "&X-Amz-Other=1",
        token() + "#x",
        token() + "\n",
        token(session="s" * 1000)[:511],
        token().replace("X-Amz-Expires=900", "X-Amz-Expires=%2B900"),
        token().replace("DBUser=app", "DBUser=%FF"),
        "user@" + token(),
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(text):
    with pytest.raises(InvalidToken) as refusal:
        check(text)
    assert not text or text not in str(refusal.value)


@settings(max_examples=300)
@given(data=st.data())
def test_no_single_change_of_a_token_is_taken(data):
    text = token(session="abc")
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != text[at]))
    changed = text[:at] + other + text[at + 1 :]
    # "%2f" and "%2F" are the same character; a signature covers what is meant.
    if changed.upper() == text.upper() and "%" in text[max(0, at - 2) : at]:
        return
    with pytest.raises((InvalidToken, ExpiredToken)):
        check(changed)


@given(text=st.text())
def test_any_other_password_is_refused(text):
    with pytest.raises(InvalidToken):
        check(text)


@settings(max_examples=50)
@given(user=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_names_of_users_may_hold_anything(user):
    expected = Expected(host="localhost", port=25432, region="eu-central-1", user=user)
    check(token(user=user), expected=expected)
    with pytest.raises(InvalidToken):
        check(token(user=user + "x"), expected=expected)
