"""The command line: what it has, and errors without traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.project import CHECKOUT
from sandbox.__main__ import app


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[str]:
    """A state folder that is removed by the command for it, also where it lies elsewhere."""
    folder = str(tmp_path / "state")
    yield folder
    assert run("clean", "--state", folder).returncode == 0


def test_the_commands_are_listed_and_the_resident_one_is_not() -> None:
    text = CliRunner().invoke(app, ["--help"], env={"NO_COLOR": "1", "COLUMNS": "120"}).stdout
    for command in ("up", "status", "down", "logs", "clean", "postgresql", "bench"):
        assert f" {command} " in text
    assert " serve " not in text


@pytest.mark.parametrize("package", ["engine", "preview"])
def test_the_engine_and_the_preview_are_commands_of_their_own(package: str) -> None:
    command = [sys.executable, "-m", package, "--help"]
    answer = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0
    assert f"python -m {package}" in answer.stdout


@pytest.mark.parametrize("command", ["status", "logs"])
def test_without_a_sandbox_there_is_one_line_that_says_so(command: str, tmp_path: Path) -> None:
    answer = run(command, "--state", str(tmp_path / "none"))
    assert answer.returncode == 1
    assert answer.stderr == "error: There is no sandbox. `make up` deploys one.\n"


def test_down_without_a_sandbox_is_no_error(tmp_path: Path) -> None:
    answer = run("down", "--state", str(tmp_path / "none"))
    assert (answer.returncode, answer.stdout) == (0, "there is no sandbox\n")


def test_clean_prints_the_engines_cache_and_touches_nothing_else(tmp_path: Path) -> None:
    answer = run("clean", "--state", str(tmp_path / "none"), XDG_CACHE_HOME=str(tmp_path))
    assert answer.returncode == 0
    assert answer.stdout == f"kept: the engine's cache, {tmp_path}/passwordless-postgres/engine\n"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_stack_file_stops_up_before_anything_is_set_up(tmp_path: Path, state: str) -> None:
    answer = run("up", "--state", state, "--stack-file", str(tmp_path / "none.yaml"))
    assert answer.returncode == 1
    assert "none.yaml cannot be read" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("command", ["up", "status", "bench"])
def test_a_sandbox_that_an_older_version_deployed_is_refused(command: str, state: str) -> None:
    assert run("up", "--state", state, "--stack-file", "none.yaml").returncode == 1
    (Path(state) / "format.json").unlink()
    (Path(state) / "serve.lock").touch()
    answer = run(command, "--state", state)
    assert answer.returncode == 1
    assert "error: The sandbox in " in answer.stderr
    assert "Run `make clean`" in answer.stderr


def test_an_unknown_release_is_refused(state: str) -> None:
    answer = run("postgresql", "--major", "9", "--state", state)
    assert answer.returncode == 1
    assert "it has 15, 16, 17, 18" in answer.stderr
