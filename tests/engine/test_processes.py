"""Only the processes that belong to a folder are found and ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import processes

WAIT = "import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT


class Started:
    """Processes of one test, ended with it."""

    def __init__(self) -> None:
        self.all: list[subprocess.Popen[bytes]] = []

    def __call__(self, environment: dict[str, str], program: str = WAIT) -> processes.Identity:
        process = subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.all.append(process)
        assert process.stdout is not None
        process.stdout.read(1)
        identity = processes.identity_of(process.pid)
        assert identity is not None
        return identity


@pytest.fixture
def start() -> Iterator[Started]:
    started = Started()
    yield started
    for process in started.all:
        process.kill()
        process.communicate()


def test_marked_processes_are_ours_and_others_are_not(start, tmp_path: Path) -> None:
    inherited = dict(os.environ)
    mine = start(processes.marked_environment(tmp_path, "serve", inherited))
    other = start(processes.marked_environment(tmp_path / "other", "serve", inherited))
    assert processes.find(tmp_path) == [mine]
    assert processes.find(tmp_path / "other") == [other]


def test_parts_are_told_apart(start, tmp_path: Path) -> None:
    serve = start(processes.marked_environment(tmp_path, "serve", dict(os.environ)))
    engine = start(processes.marked_environment(tmp_path, "deployment", dict(os.environ)))
    assert processes.find(tmp_path, "deployment") == [engine]
    assert {identity.pid for identity in processes.find(tmp_path)} == {serve.pid, engine.pid}


def test_programs_of_our_machines_are_ours(start, tmp_path: Path) -> None:
    node = start({**os.environ, processes.MACHINE_ROOT: f"{tmp_path}/machines/i-1/root"})
    assert processes.find(tmp_path) == [node]
    assert processes.find(tmp_path, "serve") == []


def test_a_server_is_known_by_its_data_folder(tmp_path: Path) -> None:
    server = tmp_path / "postgres"
    server.symlink_to(sys.executable)
    data = tmp_path / "state" / "volumes" / "data"
    process = subprocess.Popen(
        [server, "-c", WAIT, "-D", str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.read(1)
        assert [identity.pid for identity in processes.find(tmp_path / "state")] == [process.pid]
        assert processes.find(tmp_path / "stat") == []
    finally:
        process.kill()
        process.communicate()


def test_ending_is_forced_where_asking_does_not_help(start, tmp_path: Path) -> None:
    stubborn = start(processes.marked_environment(tmp_path, "serve", dict(os.environ)), STUBBORN)
    assert processes.terminate([stubborn], seconds=0.3) == [stubborn]
    assert not stubborn.is_alive


def test_another_process_with_the_same_number_is_left_alone(start, tmp_path: Path) -> None:
    running = start(dict(os.environ))
    earlier = processes.Identity(pid=running.pid, started=running.started - 1)
    assert not earlier.is_alive
    assert processes.terminate([earlier]) == []
    assert running.is_alive


def test_a_process_that_was_not_waited_for_has_ended(start) -> None:
    identity = start(dict(os.environ))
    start.all[0].kill()
    assert processes.wait_until_gone([identity], 5) == []


def test_our_own_traffic_goes_past_a_proxy(tmp_path: Path) -> None:
    environment = processes.marked_environment(tmp_path, "serve", {"NO_PROXY": "intranet.example,localhost"})
    assert environment["NO_PROXY"] == "intranet.example,localhost,127.0.0.1,::1"
    assert environment["no_proxy"] == "localhost,127.0.0.1,::1"
