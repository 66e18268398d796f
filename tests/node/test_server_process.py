"""What of a running program is no longer what is on disk, as a package upgrade leaves it."""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from node.server_process import ServerProcess, replaced_files

LIBRARY = ctypes.util.find_library("m")
# Reads until its input ends; the library is loaded before its own ones.
CAT = shutil.which("cat")


class Running:
    """A program that runs with a library, both of which an upgrade may replace."""

    def __init__(self, folder: Path) -> None:
        assert LIBRARY is not None
        assert CAT is not None
        self.program = folder / "postgres"
        self.library = folder / LIBRARY
        shutil.copy(CAT, self.program)
        ctypes.CDLL(LIBRARY)
        loaded = Path("/proc/self/maps").read_text().splitlines()
        (found,) = {line.split()[-1] for line in loaded if line.endswith(f"/{LIBRARY}")}
        shutil.copy(found, self.library)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [self.program], stdin=PIPE, stdout=PIPE, env={"LD_PRELOAD": str(self.library)}
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        # What it answers shows that it is loaded.
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def replaced(self) -> tuple[str, ...]:
        server = ServerProcess(pid=self.process.pid, port=5432, socket_directory=Path("/run"), ready=True)
        return replaced_files(server, self.program)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.process.communicate()


def upgrade(path: Path) -> None:
    """As dpkg does: the new file gets the old one's name."""
    new = path.with_name(f"{path.name}.dpkg-new")
    shutil.copy(path, new)
    new.replace(path)


def test_what_runs_as_it_is_on_disk_needs_no_restart(running: Running) -> None:
    assert running.replaced() == ()


def test_a_replaced_program_waits_for_a_restart(running: Running) -> None:
    upgrade(running.program)
    assert running.replaced() == ("server_version",)


def test_a_replaced_library_waits_for_a_restart(running: Running) -> None:
    upgrade(running.library)
    assert running.replaced() == (LIBRARY,)
    upgrade(running.program)
    assert running.replaced() == ("server_version", LIBRARY)


def test_a_link_to_programs_of_another_release_waits_for_a_restart(running: Running, tmp_path: Path) -> None:
    """The file that runs is still there, under another name."""
    other = tmp_path / "postgres-17.12"
    shutil.copy(running.program, other)
    running.program.rename(tmp_path / "postgres-17.11")
    running.program.symlink_to(other)
    assert running.replaced() == ("server_version",)


@pytest.mark.parametrize("missing", ["program", "process"])
def test_in_the_middle_of_a_replacement_nothing_is_known(missing: str, running: Any) -> None:
    if missing == "program":
        running.program.unlink()
    else:
        running.process.communicate()
    assert running.replaced() == ()
