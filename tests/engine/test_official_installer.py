"""The official installer: limits on waiting, and the user's own curl settings kept."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from engine import official_installer
from engine.progress import Step


@pytest.fixture
def step() -> Step:
    return Step(Console(file=io.StringIO()), "engine")


def test_an_installer_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, step: Step, monkeypatch
) -> None:
    monkeypatch.setattr(official_installer, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(
        official_installer,
        "PROGRAM",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])",
    )
    with pytest.raises(official_installer.InstallerError, match="nothing arrived"):
        official_installer.install(tmp_path, "3.259.0", step)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_installer_tells_its_last_words(tmp_path: Path, step: Step, monkeypatch) -> None:
    monkeypatch.setattr(official_installer, "PROGRAM", "raise SystemExit('connection refused')")
    with pytest.raises(official_installer.InstallerError, match="connection refused"):
        official_installer.install(tmp_path, "3.259.0", step)


def test_the_users_curl_settings_hold_beside_the_limits(tmp_path: Path, monkeypatch) -> None:
    home, target = tmp_path / "home", tmp_path / "target"
    home.mkdir()
    target.mkdir()
    (home / ".curlrc").write_text("proxy = proxy.example:3128\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CURL_HOME", raising=False)
    official_installer._curl_configuration(target)
    text = (target / ".curlrc").read_text()
    assert "proxy = proxy.example:3128\n" in text
    assert f"connect-timeout = {official_installer.CONNECT_SECONDS}\n" in text


def test_the_connection_limit_is_short() -> None:
    assert official_installer.CONNECT_SECONDS <= 10
