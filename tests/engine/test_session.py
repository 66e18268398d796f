"""What the engine's processes find in their environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.installation import Engine
from engine.project import CHECKOUT
from engine.session import EngineSession


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of an engine that was started by a user with settings of their own."""
    for name, value in {
        "AWS_PROFILE": "theirs",
        "PULUMI_ACCESS_TOKEN": "theirs",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HTTPS_PROXY": "http://proxy.example",
        "NO_PROXY": "intranet.example",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    command = tmp_path / "pulumi"
    command.write_text("#!/bin/sh\nexec env -0\n")
    command.chmod(0o755)
    session = EngineSession(
        engine=Engine(folder=tmp_path, version="3.259.0", origin="test"),
        stack="stack",
        root=tmp_path,
        part="test",
        providers={"aws": 1234, "tls": 1235},
        aws={"AWS_REGION": "eu-central-1"},
    )
    entries = session.command("about").split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def test_the_users_own_aws_and_pulumi_stay_out(environment: dict[str, str]) -> None:
    assert "AWS_PROFILE" not in environment
    assert "PULUMI_ACCESS_TOKEN" not in environment
    assert environment["AWS_REGION"] == "eu-central-1"
    assert environment["PULUMI_DEBUG_PROVIDERS"] == "aws:1234,tls:1235"


def test_loopback_needs_no_proxy(environment: dict[str, str]) -> None:
    assert environment["HTTPS_PROXY"] == "http://proxy.example"
    assert environment["NO_PROXY"] == "intranet.example,localhost,127.0.0.1,::1"


def test_bytecode_is_kept_in_the_virtual_environment(environment: dict[str, str]) -> None:
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["PYTHONPYCACHEPREFIX"] == str(CHECKOUT / ".venv" / "pycache")
