"""The rule used, found in the server's log in CloudWatch Logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pgpasswordless.aws import Aws
from pgpasswordless.verify.result import RuleUsed
from pgpasswordless.verify.server_log import AUTHENTICATED, rules_used
from pgpasswordless.verify.session import Session

SESSION = Session(
    server_version=180006,
    pid=4711,
    started=datetime.now(UTC),
    session_id="69233ab1.1267",
    session_user="app_user",
    tls_version="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    client_dn="/CN=app_user",
    client_serial=1,
    system_user="cert:CN=app_user",
    iam_user=None,
)
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"
MESSAGE = 'connection authenticated: identity="CN=app_user" method=cert (/etc/pg/pg_hba.conf:7)'
ENTRY = {"session_id": SESSION.session_id, "pid": 4711, "user": "app_user", "message": MESSAGE}
RULE = RuleUsed(method="cert", file="/etc/pg/pg_hba.conf", line=7, identity="CN=app_user")


@pytest.fixture
def put(boto: Callable[[str], Any], tmp_path: Path) -> Callable[[list[str]], str]:
    """Puts lines into a log group of the test's own and returns its name."""
    logs = boto("logs")
    name = f"/test/{tmp_path.name}"
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="i-1")

    def lines(messages: list[str]) -> str:
        at = int(datetime.now(UTC).timestamp() * 1000)
        events = [{"timestamp": at, "message": message} for message in messages]
        logs.put_log_events(logGroupName=name, logStreamName="i-1", logEvents=events)
        return name

    return lines


def test_the_line_of_the_session_is_found_among_others(
    put: Callable[[list[str]], str], environment: dict[str, str]
) -> None:
    others = [
        ENTRY | {"session_id": "69233ab0.1267", "message": MESSAGE.replace(":7", ":1")},
        ENTRY | {"pid": 4712, "message": MESSAGE.replace(":7", ":2")},
        ENTRY | {"user": "reporting", "message": MESSAGE.replace(":7", ":3")},
        ENTRY | {"message": f"statement: SELECT '{MESSAGE.replace(':7', ':4')}'"},
        ENTRY | {"message": "connection received: host=127.0.0.1"},
    ]
    lines = [json.dumps(entry) for entry in others]
    group = put(
        [*lines, f"{SESSION.session_id} not JSON", json.dumps([SESSION.session_id]), json.dumps(ENTRY)]
    )
    assert rules_used(Aws(environment), ARN, group, [SESSION], 0) == {SESSION.session_id: RULE}


def test_a_line_that_does_not_come_is_said_after_the_deadline(
    put: Callable[[list[str]], str], environment: dict[str, str]
) -> None:
    group = put([json.dumps(ENTRY | {"session_id": "69233ab0.1267"})])
    found = rules_used(Aws(environment), ARN, group, [SESSION], 0)
    assert found == {SESSION.session_id: f"not in log group {group} after 0 s"}


def test_a_log_group_that_cannot_be_read_is_said_at_once(environment: dict[str, str]) -> None:
    found = rules_used(Aws(environment), ARN, "/absent", [SESSION], 3600)
    assert "log group /absent cannot be read: ResourceNotFoundException" in str(found[SESSION.session_id])


def test_an_aws_that_cannot_be_reached_at_all_is_said(environment: dict[str, str]) -> None:
    aws = Aws(environment | {"AWS_PROFILE": "absent"})
    found = rules_used(aws, ARN, "/g", [SESSION], 3600)
    assert found[SESSION.session_id] == (
        "log group /g cannot be read: The config profile (absent) could not be found"
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (MESSAGE, ("CN=app_user", "cert", "/etc/pg/pg_hba.conf", "7")),
        (
            'connection authenticated: user="a b" method=trust (/a (b)/pg_hba.conf:12)',
            ("a b", "trust", "/a (b)/pg_hba.conf", "12"),
        ),
        (
            'connection authenticated: identity="CN=a" method=x (y:1)" method=cert (/hba:3)',
            ('CN=a" method=x (y:1)', "cert", "/hba", "3"),
        ),
    ],
)
def test_the_servers_words(message: str, expected: tuple[str, ...]) -> None:
    match = AUTHENTICATED.fullmatch(message)
    assert match is not None
    assert (match["identity"], match["method"], match["file"], match["line"]) == expected
