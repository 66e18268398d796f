"""How the function answers wrong events, and failures of the network and of AWS."""

from __future__ import annotations

import json
import logging
import socket
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.roles.credentials import login_token
from functions.roles.event import Event, EventError
from functions.roles.handler import handle
from runtime.errors import FailedError
from tests.functions.roles.conftest import DECLARATION, certificate

EVENT: dict[str, Any] = {
    "schemaVersion": 1,
    "host": "localhost",
    "port": 1,
    "region": "eu-central-1",
    "major": 17,
    "administrator": "pgpl_admin",
    "masterSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf",
    "serverCaPem": "PEM",
    "declaration": json.loads(DECLARATION.to_json()),
}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in EVENT.items() if name != key}


def test_an_event_is_read() -> None:
    event = Event.from_json(EVENT)
    assert (event.server, event.declaration) == ("localhost:1", DECLARATION)
    assert Event.from_json({**EVENT, "declaration": None}).declaration is None


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ([], "the event is a list"),
        (without("port"), "port: missing"),
        ({**EVENT, "more": 1}, "more: unknown"),
        ({**EVENT, "port": "5432"}, "port: is a str; must be a int"),
        ({**EVENT, "port": True}, "port: is a bool"),
        ({**EVENT, "masterSecretArn": ""}, "masterSecretArn: is empty"),
        ({**EVENT, "schemaVersion": 2}, "schemaVersion: 2; this function knows 1"),
        ({**EVENT, "major": 14}, "major: 14; must be one of 15, 16, 17, 18"),
        ({**EVENT, "administrator": "other"}, "the declaration's is 'pgpl_admin'"),
        ({**EVENT, "administrator": "rdsadmin", "declaration": None}, "which Amazon RDS reserves"),
        ({**EVENT, "declaration": {"schemaVersion": 1}}, "declaration: roles.json has"),
        (
            {**EVENT, "declaration": {**EVENT["declaration"], "databases": []}},
            "declaration: role 'app_reader': database 'app' is not declared",
        ),
    ],
)
def test_an_event_that_is_none_is_refused(event: Any, message: str) -> None:
    with pytest.raises(EventError) as caught:
        Event.from_json(event)
    assert message in str(caught.value)
    answer = handle(event, None)
    assert (answer["schemaVersion"], answer["outcome"], answer["steps"]) == (1, "refused", 0)
    assert message in answer["message"]


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(EventError, match=r"port: missing.*major: is a str"):
        Event.from_json({**without("port"), "major": "17"})


def test_a_server_that_nobody_serves_is_told(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with caplog.at_level(logging.INFO, logger="functions.roles"):
            answer = handle({**EVENT, "port": port, "serverCaPem": certificate(tmp_path)}, None)
    assert answer["outcome"] == "failed"
    assert f"cannot reach localhost:{port}: " in answer["message"]
    assert f"failed after 0 steps: {answer['message']}" in caplog.text


@pytest.mark.parametrize(
    ("says", "outcome", "message"),
    [
        (b"N", "refused", "refused: the server has none"),
        (b"", "failed", "answers the request for TLS with b''"),
        (b"S no handshake", "refused", "TLS with localhost:"),
    ],
)
def test_a_server_without_tls_is_told(says: bytes, outcome: str, message: str, tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(8)
                connection.sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        answer = handle({**EVENT, "port": port, "serverCaPem": certificate(tmp_path)}, None)
        thread.join()
    assert answer["outcome"] == outcome
    assert message in answer["message"]


def test_a_token_is_for_one_user_on_one_host_for_15_minutes() -> None:
    token = login_token(host="db.example", port=5433, user="a b", region="eu-west-1")
    parts = urlsplit(f"https://{token}")
    query = parse_qs(parts.query)
    assert (parts.netloc, parts.path) == ("db.example:5433", "/")
    assert (query["Action"], query["DBUser"], query["X-Amz-Expires"]) == (["connect"], ["a b"], ["900"])
    assert query["X-Amz-Credential"][0].endswith("/eu-west-1/rds-db/aws4_request")
    assert query["X-Amz-Security-Token"] == ["session-token-marker"]


def test_without_credentials_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(FailedError, match="Unable to locate credentials"):
        login_token(host="db.example", port=5432, user="u", region="eu-west-1")
