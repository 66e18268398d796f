"""The endpoints of a deployment are waited for, and the gateway's answer is judged."""

from __future__ import annotations

import ssl
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from engine.errors import CommandError
from sandbox import endpoints


class Answer:
    def __init__(self, status: int) -> None:
        self.status, self.body = status, b"the body"


class Target:
    url, client, root_certificate, files = "https://localhost:1", "billing", Path("root.crt"), None


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the gateway answers, one after the other; the last answer is repeated."""
    given: list[Any] = []

    def get(*_: object, **__: object) -> HTTPResponse:
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(endpoints, "get", get)
    monkeypatch.setattr(endpoints, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(endpoints, "_POLL_SECONDS", 0.01)
    return given


@pytest.mark.parametrize("status", [200, 404])
def test_any_answer_of_an_application_will_do(answers: list[Any], status: int) -> None:
    answers += [ConnectionRefusedError(), Answer(503), Answer(status)]
    assert endpoints.accepts(Target())  # type: ignore[arg-type]


def test_a_revoked_client_is_not_waited_for(answers: list[Any]) -> None:
    answers.append(ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED] alert"))
    assert not endpoints.accepts(Target())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(403), "403: b'the body'"),
        (Answer(502), "502: b'the body'"),
        (ConnectionRefusedError("refused"), "refused"),
        (ssl.SSLError(1, "unknown authority"), "unknown authority"),
    ],
)
def test_without_an_answer_in_time_the_last_one_is_told(answers: list[Any], answer: Any, said: str) -> None:
    answers.append(answer)
    with pytest.raises(CommandError, match="has not answered billing for") as error:
        endpoints.accepts(Target())  # type: ignore[arg-type]
    assert said in str(error.value)
