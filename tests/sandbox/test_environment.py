"""The virtual environment's set-up: what it refuses, what it does not do twice."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.project import CHECKOUT

PYTHON_STUB = """#!/bin/sh
case "$*" in
*version_info*2\\]*) echo 3.12 ;;
*version_info*) exit {too_old} ;;
--version) echo Python {version} ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(CHECKOUT / "tools" / "environment.sh", folder / "tools")
    for name in ("requirements-setup.txt", "requirements-dev.txt"):
        shutil.copy(CHECKOUT / name, folder)
    return folder


def run(checkout: Path, python: str | None) -> subprocess.CompletedProcess[str]:
    programs = checkout.parent / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("sh", "cat", "cut", "date", "find", "flock", "mkdir", "rm", "sha256sum"):
        found = shutil.which(name)
        if found and not (programs / name).exists():
            (programs / name).symlink_to(found)
    if python is not None:
        (programs / "python3").write_text(python)
        (programs / "python3").chmod(0o755)
    return subprocess.run(
        ["sh", "tools/environment.sh"],
        cwd=checkout,
        env={"PATH": str(programs), "HOME": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_named_with_what_to_install(checkout: Path) -> None:
    answer = run(checkout, PYTHON_STUB.format(too_old=1, version="3.9.2"))
    assert answer.returncode == 1
    assert "no Python >= 3.11" in answer.stderr
    assert "python3 is Python 3.9.2" in answer.stderr
    assert "apt-get install python3 python3-venv" in answer.stderr


def test_no_python_is_an_error_too(checkout: Path) -> None:
    assert "python3 is missing" in run(checkout, None).stderr


def test_a_python_without_ensurepip_and_pip_names_the_package(checkout: Path) -> None:
    answer = run(checkout, PYTHON_STUB.format(too_old=0, version="3.12.1"))
    assert answer.returncode == 1
    assert "apt-get install python3.12-venv" in answer.stderr


def test_a_finished_environment_is_left_as_it_is(checkout: Path) -> None:
    environment = checkout / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/bin/true")
    wanted = hashlib.sha256(f"{os.path.realpath(checkout)}\n".encode())
    for name in ("requirements-setup.txt", "requirements-dev.txt"):
        wanted.update((checkout / name).read_bytes())
    (environment / ".passwordless-postgres").write_text(wanted.hexdigest() + "\n")
    answer = run(checkout, None)
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")
