"""The resident process: started once, replaced when it is dead, ended without traces."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from emulator.postgresql_server.server_user import server_user
from engine import processes
from engine.progress import Progress
from engine.project import CHECKOUT
from sandbox import resident
from sandbox.serve import CODE, read_addresses
from sandbox.state import State


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(file=io.StringIO()))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    root = tmp_path / "state"
    root.mkdir()
    state = State(root=root, nominal=root, user=server_user())
    yield state
    resident.stop(state)


def test_it_starts_once_survives_being_killed_and_ends(state: State, progress: Progress) -> None:
    assert resident.running(state) is None
    first = resident.ensure(state, progress)
    assert resident.ensure(state, progress) == first
    assert set(first.providers) == {"aws", "tls", "postgresql"}
    os.kill(first.pid, signal.SIGKILL)
    processes.wait_until_gone([first.identity], 10)
    assert resident.running(state) is None
    second = resident.ensure(state, progress)
    assert second.pid != first.pid
    assert (second.aws_endpoint, second.providers) == (first.aws_endpoint, first.providers)
    environment = resident.operator_environment(state, second)
    assert (
        environment["AWS_SECRET_ACCESS_KEY"] not in state.serve_file.read_text() + state.serve_log.read_text()
    )
    assert resident.stop(state)
    assert read_addresses(state) is None
    assert processes.find(state.root) == []
    assert not resident.stop(state)


def test_it_ends_by_itself_when_its_folder_is_removed(state: State, progress: Progress) -> None:
    identity = resident.ensure(state, progress).identity
    shutil.rmtree(state.root)
    assert processes.wait_until_gone([identity], 30) == []


def test_a_change_of_any_code_that_it_loads_is_noticed() -> None:
    """Also of what only the emulator's services import."""
    program = (
        "import importlib, pkgutil, sys, emulator, sandbox.serve\n"
        "for each in pkgutil.walk_packages(emulator.__path__, 'emulator.'):\n"
        "    importlib.import_module(each.name)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    ours = {name for name in answer.stdout.split() if (CHECKOUT / name / "__init__.py").exists()}
    assert ours == set(CODE)
