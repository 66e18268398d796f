"""Tokens: what they are made for, how long they are kept, and that they are seen nowhere."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from pgpasswordless.errors import TokenError
from pgpasswordless.tokens import LIFE_SECONDS, MARGIN_SECONDS, TokenSource
from pgpasswordless.verify.past_token import token_of

ENDPOINT = "db.abc123.eu-central-1.rds.amazonaws.com"
SESSION_TOKEN = "session-token-that-is-secret"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def session(access_key: str = "AKIATEST", region: str | None = None) -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key="a-secret-access-key",
        aws_session_token=SESSION_TOKEN,
        region_name=region,
    )


def source(**options: Any) -> TokenSource:
    values: dict[str, Any] = {"host": ENDPOINT, "port": 5432, "user": "app_user", "session": SESSION}
    values["known_endpoint"] = True
    return TokenSource(**values | options)


SESSION = session()


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def made_for(token: str) -> dict[str, str]:
    parts = urlsplit(f"//{token}")
    query = {name: value for name, (value,) in parse_qs(parts.query).items()}
    scope = query["X-Amz-Credential"].split("/")
    return {
        "netloc": parts.netloc,
        "user": query["DBUser"],
        "action": query["Action"],
        "life": query["X-Amz-Expires"],
        "region": scope[2],
        "service": scope[3],
        "key": scope[0],
    }


def test_a_token_is_for_this_host_port_user_and_region_alone() -> None:
    assert made_for(source(user="App User+é%")()) == {
        "netloc": f"{ENDPOINT}:5432",
        "user": "App User+é%",
        "action": "connect",
        "life": "900",
        "region": "eu-central-1",
        "service": "rds-db",
        "key": "AKIATEST",
    }


def test_an_endpoint_in_another_spelling_is_signed_as_rds_writes_it() -> None:
    assert made_for(source(host=ENDPOINT.upper() + ".")())["netloc"] == f"{ENDPOINT}:5432"


def test_the_region_is_that_of_the_database_and_not_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made_for(source(session=session(region="us-east-1"))())["region"] == "eu-central-1"
    local = source(host="localhost", session=session(region="us-east-1"))
    assert made_for(local())["region"] == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "ap-southeast-2")
    assert made_for(source(host="localhost")())["region"] == "ap-southeast-2"
    assert made_for(source()())["region"] == "eu-central-1"
    assert made_for(source(host="localhost", region="eu-west-1")())["region"] == "eu-west-1"


users = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
keys = st.tuples(
    st.sampled_from(["localhost", "127.0.0.1", ENDPOINT]),
    st.sampled_from([5432, 6432]),
    users,
    st.just("eu-central-1"),
)


@settings(max_examples=25)
@given(keys, keys)
def test_different_logins_never_share_a_token(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    tokens = []
    for host, port, user, region in (one, other):
        found = source(host=host, port=port, user=user, region=region)
        token = found()
        assert found() == token
        assert made_for(token) | {"netloc": f"{host}:{port}", "user": user, "region": region} == made_for(
            token
        )
        tokens.append(token.partition("&X-Amz-Algorithm")[0])
    assert (tokens[0] == tokens[1]) == (one == other)


def test_a_token_is_kept_until_shortly_before_it_expires() -> None:
    clock = Clock()
    tokens = _counted(source(clock=clock))
    first = tokens()
    clock.now += LIFE_SECONDS - MARGIN_SECONDS - 1
    assert tokens() == first
    assert tokens.minted == 1
    clock.now += 1
    tokens()
    assert tokens.minted == 2


def test_a_clock_that_was_set_back_keeps_no_token() -> None:
    clock = Clock()
    tokens = _counted(source(clock=clock))
    tokens()
    clock.now -= 1
    tokens()
    assert tokens.minted == 2


class _Counted:
    def __init__(self, found: TokenSource) -> None:
        self._found = found
        self.minted = 0
        client = found._rds()
        mint = client.generate_db_auth_token

        def counting(**options: Any) -> str:
            self.minted += 1
            return mint(**options)

        client.generate_db_auth_token = counting  # type: ignore[method-assign]

    def __call__(self) -> str:
        return self._found()


def _counted(found: TokenSource) -> _Counted:
    return _Counted(found)


def refreshing(*keys: tuple[str, timedelta]) -> boto3.Session:
    """A session whose credentials are these, one after the other, each valid for so long."""
    left = iter(keys)

    def refresh() -> dict[str, str]:
        key, life = next(left)
        return {
            "access_key": key,
            "secret_key": "a-secret-access-key",
            "token": SESSION_TOKEN,
            "expiry_time": (datetime.now(UTC) + life).isoformat(),
        }

    core = Session()
    core._credentials = RefreshableCredentials.create_from_metadata(  # type: ignore[attr-defined]
        metadata=refresh(), refresh_using=refresh, method="test"
    )
    return boto3.Session(botocore_session=core)


def test_a_token_ends_with_the_credentials_that_signed_it() -> None:
    hour = timedelta(hours=1)
    own = refreshing(("AKIAONE", hour), ("AKIATWO", hour))
    tokens = source(session=own)
    assert made_for(tokens())["key"] == "AKIAONE"
    credentials: Any = own.get_credentials()
    credentials._expiry_time = datetime.now(UTC) + timedelta(minutes=5)
    assert made_for(tokens())["key"] == "AKIATWO"


def test_expired_credentials_are_an_error_and_not_a_refused_login() -> None:
    past = timedelta(minutes=-5)
    tokens = source(session=refreshing(("AKIAONE", past), ("AKIATWO", past)))
    with pytest.raises(TokenError, match=r"have expired: .* log in to AWS again"):
        tokens()


def test_no_credentials(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="no AWS credentials to sign a token for 'app_user'"):
        source(session=None)()


def test_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(TokenError, match=r"cannot be fetched: .*absent.* log in to AWS again"):
        source(session=None)()


def test_no_region() -> None:
    with pytest.raises(TokenError, match="no region is known for a token for host 'localhost'"):
        source(host="localhost")()


def test_the_region_of_another_database() -> None:
    with pytest.raises(TokenError, match=r"is in region 'eu-central-1', and the region given is 'us-east-1'"):
        source(region="us-east-1")
    source(region="eu-central-1")


@pytest.mark.parametrize("host", ["localhost", "db.localhost", "127.0.0.1", "::1", "10.1.2.3"])
def test_a_tunnels_near_end_is_refused(host: str) -> None:
    with pytest.raises(TokenError, match=r"the endpoint's own name and port; .* port=5433"):
        source(host=host, port=5433, region="eu-central-1", known_endpoint=False)


@pytest.mark.parametrize(
    "host",
    [
        "x.endpoint.proxy-abc.eu-west-1.rds.amazonaws.com",
        "x.cluster-ro-abc.eu-west-1.rds.amazonaws.com",
        "x.abc.rds.eu-west-1.amazonaws.com.cn",
    ],
)
def test_every_endpoint_says_its_region_and_the_machine_does_not(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    found = source(host=host, known_endpoint=False)
    assert made_for(found())["region"] == "eu-west-1"
    with pytest.raises(TokenError, match="is in region 'eu-west-1', and the region given is 'us-east-1'"):
        source(host=host, region="us-east-1")


def test_a_global_writer_needs_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    host = "main.global-abc.global.rds.amazonaws.com"
    with pytest.raises(TokenError, match="give the region of the cluster that is the writer now"):
        source(host=host)
    assert made_for(source(host=host, region="eu-west-1")())["region"] == "eu-west-1"
    with pytest.raises(TokenError, match=f"is an alias of '{host}'"):
        source(host="db.example.org", region="eu-west-1", look_up=lambda _: host)()


def test_dsql_has_tokens_of_its_own() -> None:
    with pytest.raises(
        TokenError, match=r"use `aws dsql generate-db-connect-auth-token --hostname abc\.dsql"
    ):
        source(host="abc.dsql.eu-west-1.on.aws")


def test_an_alias_is_named_with_the_endpoint_that_it_leads_to() -> None:
    asked = []

    def look_up(host: str) -> str:
        asked.append(host)
        return ENDPOINT

    with pytest.raises(TokenError, match=f"'db.example.org' is an alias of '{ENDPOINT}'"):
        source(host="db.example.org", region="eu-central-1", look_up=look_up)()
    source(look_up=look_up)()
    source(host="localhost", region="eu-central-1", look_up=look_up)()
    assert asked == ["db.example.org"]


@pytest.mark.parametrize("answer", [None, "db.example.org"])
def test_a_name_that_leads_nowhere_else_is_taken(answer: str | None) -> None:
    tokens = source(host="db.example.org", region="eu-central-1", look_up=lambda _: answer)
    assert made_for(tokens())["netloc"] == "db.example.org:5432"


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_a_token_is_in_no_log_and_no_representation(everything: pytest.LogCaptureFixture) -> None:
    found = source(session=session())
    token = found()
    signature = token.rpartition("X-Amz-Signature=")[2]
    seen = everything.text + repr(found) + repr(vars(found)) + str(found)
    assert "botocore" in everything.text
    for secret in (token, signature, SESSION_TOKEN, "a-secret-access-key"):
        assert secret not in seen
    # The control: without us, botocore would have told all of it.
    session().client("rds", region_name="eu-central-1").generate_db_auth_token(
        DBHostname=ENDPOINT, Port=5432, DBUsername="app_user"
    )
    assert SESSION_TOKEN in everything.text


def test_a_token_of_another_moment_is_signed_as_boto3_signs() -> None:
    found = source(user="App User+é%")
    now = parse_qs(found())
    moment = datetime.strptime(now["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert parse_qs(token_of(found, moment)) == now
    assert parse_qs(token_of(found, moment - timedelta(hours=1))) != now


def test_threads_share_one_token() -> None:
    tokens = _counted(source())
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(tokens())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found)), tokens.minted) == (16, 1, 1)


def test_parameters_of_a_pool_have_a_token_and_no_pool_has_them_in_its_settings() -> None:
    found = source()
    parameters = found.keywords(host=ENDPOINT, port=5432)
    assert parameters() == {"host": ENDPOINT, "port": 5432, "password": found()}
    assert found() not in json.dumps(repr(parameters))
