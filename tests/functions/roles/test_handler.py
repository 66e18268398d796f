"""How the function answers wrong events and configurations, and failures of the network and of AWS."""

from __future__ import annotations

import json
import logging
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import functions.roles.configuration
from functions.roles.configuration import SERVER_CA_FILE, VARIABLE, Configuration, ConfigurationError
from functions.roles.credentials import login_token
from functions.roles.event import EventError, declaration_of
from functions.roles.handler import handle, run
from runtime.errors import FailedError
from tests.functions.roles.conftest import DECLARATION, certificate

DOCUMENT: dict[str, Any] = {
    "schemaVersion": 2,
    "host": "localhost",
    "port": 1,
    "region": "eu-central-1",
    "major": 17,
    "administrator": "pgpl_admin",
    "masterSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf",
    "declarationSha256": DECLARATION.sha256,
}
EVENT: dict[str, Any] = {"schemaVersion": 2, "declaration": json.loads(DECLARATION.to_json())}


def configuration(pem: str = "PEM", **changes: Any) -> Configuration:
    return Configuration.from_json(json.dumps({**DOCUMENT, **changes}), pem)


def pinned(declaration: Any) -> Configuration:
    return configuration(declarationSha256=declaration and declaration.sha256)


def without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


def test_configuration_and_event_are_read() -> None:
    assert configuration().server == "localhost:1"
    assert declaration_of(EVENT, configuration()) == DECLARATION
    assert declaration_of({**EVENT, "declaration": None}, pinned(None)) is None


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ([], "the event is a list"),
        (without(EVENT, "declaration"), "declaration: missing"),
        ({**EVENT, "more": 1}, "more: unknown; allowed are declaration, schemaVersion"),
        ({**EVENT, "declaration": "text"}, "declaration: is a str; must be a dict or NoneType"),
        ({**EVENT, "schemaVersion": 1}, "schemaVersion: 1; this function knows 2"),
        ({**EVENT, "schemaVersion": True}, "schemaVersion: is a bool"),
        ({**EVENT, "declaration": {"schemaVersion": 1}}, "declaration: roles.json has"),
    ],
)
def test_an_event_that_is_none_is_refused(event: Any, message: str) -> None:
    with pytest.raises(EventError) as caught:
        declaration_of(event, configuration())
    assert message in str(caught.value)
    answer = run(event, configuration()).to_json()
    assert (answer["schemaVersion"], answer["outcome"], answer["steps"]) == (2, "refused", 0)
    assert message in answer["message"]


@pytest.mark.parametrize("key", [*without(DOCUMENT, "schemaVersion"), "serverCaPem", "holdUntil", "Host"])
def test_an_event_chooses_nothing_but_the_declaration(key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as attackers:
        attackers.settimeout(0)
        port = attackers.getsockname()[1]
        value = {"port": port, "host": "127.0.0.1"}.get(key, DOCUMENT.get(key, "attacker's"))
        outcome = run({**EVENT, key: value}, configuration())
        assert (outcome.outcome, outcome.steps) == ("refused", 0)
        assert f"event: {key}: unknown; allowed are declaration, schemaVersion" in outcome.message
        with pytest.raises(BlockingIOError):
            attackers.accept()


def test_an_older_or_another_declaration_is_refused() -> None:
    deployed = replace(DECLARATION, roles=DECLARATION.roles[:1])
    allowed = f"the function's configuration allows {deployed.sha256} alone"
    assert f"its SHA-256 is {DECLARATION.sha256}, and {allowed}" in run(EVENT, pinned(deployed)).message
    assert "allows None alone" in run(EVENT, pinned(None)).message
    assert "its SHA-256 is None" in run({**EVENT, "declaration": None}, pinned(deployed)).message
    wider = json.loads(DECLARATION.to_json())
    wider["roles"][0]["connectionLimit"] = -1
    assert "declaration: its SHA-256 is" in run({**EVENT, "declaration": wider}, configuration()).message


@pytest.mark.parametrize(
    ("declaration", "changes", "message"),
    [
        (replace(DECLARATION, databases=()), {}, "role 'app_reader': database 'app' is not declared"),
        (None, {"administrator": "rdsadmin"}, "which Amazon RDS reserves"),
        (DECLARATION, {"administrator": "other"}, "is 'pgpl_admin', and the configuration's is 'other'"),
    ],
)
def test_a_declaration_that_rds_cannot_apply_is_refused(
    declaration: Any, changes: dict[str, Any], message: str
) -> None:
    event = {"schemaVersion": 2, "declaration": declaration and json.loads(declaration.to_json())}
    with pytest.raises(EventError) as caught:
        declaration_of(event, configuration(declarationSha256=declaration and declaration.sha256, **changes))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "is a list; it must be an object"),
        (without(DOCUMENT, "host"), "host: missing"),
        ({**DOCUMENT, "serverCaPem": "PEM"}, "serverCaPem: unknown"),
        ({**DOCUMENT, "port": "5432"}, "port: is a str; must be a int"),
        ({**DOCUMENT, "port": True}, "port: is a bool"),
        ({**DOCUMENT, "masterSecretArn": ""}, "masterSecretArn: is empty"),
        ({**DOCUMENT, "major": 14}, "major: 14; must be one of 15, 16, 17, 18"),
        ({**DOCUMENT, "holdUntil": "2026-01-01T00:00:00Z"}, "holdReason: missing"),
        (
            DOCUMENT | {"holdUntil": "2026-01-01T00:00:00", "holdReason": "x"},
            "holdUntil: 2026-01-01T00:00:00 is no",
        ),
        (DOCUMENT | {"holdUntil": "2999-01-01T00:00:00Z", "holdReason": "x"}, "is more than 24 hours ahead"),
        ({**without(DOCUMENT, "port"), "major": "17"}, "port: missing; major: is a str"),
    ],
)
def test_a_wrong_configuration_is_refused(
    document: Any, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / SERVER_CA_FILE).write_text("PEM")
    with pytest.raises(ConfigurationError) as caught:
        Configuration.deployed({VARIABLE: json.dumps(document)}, tmp_path)
    assert message in str(caught.value)


def test_a_hold_ends_by_itself() -> None:
    now = datetime.now(UTC)
    until, over = ((now + timedelta(minutes=minutes)).isoformat() for minutes in (1, -1))
    held = configuration(holdUntil=until, holdReason="a repair").held
    assert held == f"held until {until}: a repair"
    assert (configuration(holdUntil=over, holdReason="a repair").held, configuration().held) == ("", "")
    assert run([], configuration(holdUntil=until, holdReason="a repair")).metrics()["ReconciliationHeld"] == 1


def test_a_function_without_configuration_does_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    answer = handle(EVENT, None)
    assert answer["outcome"] == "refused"
    assert answer["message"].startswith(f"configuration: there is no environment variable {VARIABLE}")
    with pytest.raises(ConfigurationError, match="not JSON"):
        Configuration.from_json("{", "PEM")
    with pytest.raises(ConfigurationError, match=r"server-ca\.pem of the artifact cannot be read"):
        Configuration.deployed({VARIABLE: json.dumps(DOCUMENT)}, tmp_path)


def test_a_server_that_nobody_serves_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        (tmp_path / SERVER_CA_FILE).write_text(certificate(tmp_path))
        monkeypatch.setattr(functions.roles.configuration, "_ARTIFACT", tmp_path)
        monkeypatch.setenv(VARIABLE, json.dumps({**DOCUMENT, "port": port}))
        with caplog.at_level(logging.INFO, logger="functions.roles"):
            answer = handle(EVENT, None)
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
        answer = run(EVENT, configuration(certificate(tmp_path), port=listener.getsockname()[1]))
        thread.join()
    assert answer.outcome == outcome
    assert message in answer.message


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
