"""What the gateway's application needs besides our own source, for the machine that runs it.

All of it is in one lock file with the hash of each wheel. For the interpreter that runs this program
the files are copied from where they are installed; for another platform pip fetches the wheels once,
and they are kept in the user's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Literal, final

from artifacts.sources import PROJECT

LOCK = PROJECT / "requirements-gateway.txt"

Machine = Literal["x86_64", "aarch64"]

# Debian 13 has glibc 2.41.
_GLIBC = ("2_39", "2_34", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17")
_PIN = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;\\]+)\s*(?:;(?P<marker>[^\\]*))?", re.MULTILINE
)
# Which wheels of the lock are for Windows or another implementation of Python, none of which we run on.
_FOREIGN = ("sys_platform == 'win32'",)
_LEFT_BY_INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_SHOWN_LINES = 3


class DependenciesError(Exception):
    """The dependencies are not available; the text says which ones, and what to do."""


@final
@dataclass(frozen=True, kw_only=True)
class Platform:
    """An interpreter on a kind of machine, with glibc.

    Attributes:
        python: Version of CPython, such as `3.13`.
        machine: Processor, as `uname -m` says it.
    """

    python: str
    machine: Machine

    def __str__(self) -> str:
        """Python and processor, fit for a file's name."""
        return f"cpython-{self.python}-{self.machine}"


DEBIAN_13: dict[Literal["x86_64", "arm64"], Platform] = {
    "x86_64": Platform(python="3.13", machine="x86_64"),
    "arm64": Platform(python="3.13", machine="aarch64"),
}
"""Debian 13 has Python 3.13; by EC2's words for architectures."""


def this_platform() -> Platform:
    """The interpreter that runs us.

    Raises:
        DependenciesError: the gateway cannot run here at all.
    """
    machine = platform.machine()
    if machine not in ("x86_64", "aarch64") or platform.system() != "Linux":
        raise DependenciesError(
            f"the gateway runs on Linux on x86_64 and aarch64; this is {platform.system()} on {machine}"
        )
    return Platform(python=f"{sys.version_info.major}.{sys.version_info.minor}", machine=machine)


def cache_folder() -> Path:
    """Where fetched wheels and finished artifacts are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "passwordless-postgres" / "gateway"


def pinned(lock: str) -> dict[str, str]:
    """Name and version of each distribution that a lock file asks for on Linux with CPython."""
    return {
        found["name"]: found["version"]
        for found in _PIN.finditer(lock)
        if not any(marker in (found["marker"] or "") for marker in _FOREIGN)
    }


def dependency_files(target: Platform, cache: Path | None = None, lock: Path = LOCK) -> dict[str, bytes]:
    """All files of the dependencies by path, as they lie in `site-packages` of the target.

    Raises:
        DependenciesError: what is installed is another version than the lock's, or the wheels cannot be
            fetched.
    """
    if target == this_platform():
        return dict(_installed_files(pinned(lock.read_text(encoding="utf-8")), metadata.distribution))
    return dict(_folder_files(fetched(target, cache or cache_folder(), lock)))


def _installed_files(
    wanted: dict[str, str], find: Callable[[str], metadata.Distribution]
) -> Iterator[tuple[str, bytes]]:
    for name, version in wanted.items():
        try:
            distribution = find(name)
        except metadata.PackageNotFoundError:
            raise DependenciesError(
                f"{name} {version} is not installed, and the gateway needs it; run `make environment`, or "
                f"install {LOCK.name}"
            ) from None
        if distribution.version != version:
            raise DependenciesError(
                f"{name} {distribution.version} is installed, and {LOCK.name} asks for {version}; run `make "
                f"environment`, or install {LOCK.name}"
            )
        for file in distribution.files or ():
            if not _is_left_out(file):
                yield file.as_posix(), Path(str(distribution.locate_file(file))).read_bytes()


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not _is_left_out(PurePosixPath(name)):
            yield name.as_posix(), path.read_bytes()


def _is_left_out(file: PurePosixPath) -> bool:
    """Scripts outside of the packages, what an installer notes, and what an interpreter has compiled."""
    return (
        file.parts[0] in ("..", "bin")
        or file.is_absolute()
        or "__pycache__" in file.parts
        or file.suffix in (".pyc", ".pyi")
        or (file.parent.name.endswith(".dist-info") and file.name in _LEFT_BY_INSTALLERS)
    )


def fetched(target: Platform, cache: Path, lock: Path = LOCK) -> Path:
    """The folder with the unpacked wheels for a platform; fetched when it is not there.

    Raises:
        DependenciesError: pip cannot fetch them; the text ends with pip's own output.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    final_folder = cache / "wheels" / f"{target}-{digest}"
    if final_folder.is_dir():
        return final_folder
    final_folder.parent.mkdir(parents=True, exist_ok=True)
    with (final_folder.parent / f".{final_folder.name}.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if final_folder.is_dir():
            return final_folder
        partial = final_folder.parent / f".{final_folder.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        answer = subprocess.run(
            fetching_command(target, partial, lock),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PIP_USER": "0"},
        )
        if answer.returncode != 0:
            output = (
                " ".join(answer.stderr.strip().splitlines()[-_SHOWN_LINES:]) or f"exit {answer.returncode}"
            )
            raise DependenciesError(
                f"the gateway's dependencies for {target} cannot be fetched: {output}. Check that pip "
                "reaches its package index (`pip config list`), then run this again"
            )
        partial.rename(final_folder)
    return final_folder


def fetching_command(target: Platform, folder: Path, lock: Path) -> list[str]:
    """The command that unpacks the lock's wheels for a platform, each checked by its hash before.

    pip, since it is what the user has configured; uv where the virtual environment has no pip.

    Raises:
        DependenciesError: there is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--no-compile", "--implementation", "cp"]
        for abi in (f"cp{target.python.replace('.', '')}", "abi3", "none"):
            command += ["--abi", abi]
        for glibc in _GLIBC:
            command += ["--platform", f"manylinux_{glibc}_{target.machine}"]
        command += ["--platform", f"manylinux2014_{target.machine}"]
    else:
        uv = shutil.which("uv", path=os.pathsep.join([f"{sys.prefix}/setup/bin", os.environ.get("PATH", "")]))
        if uv is None:
            raise DependenciesError(
                f"{sys.prefix} has neither pip nor uv to fetch the gateway's dependencies with; install pip"
            )
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable]
        command += ["--python-platform", f"{target.machine}-manylinux_2_39"]
    return [
        *command,
        *("--no-deps", "--only-binary=:all:", "--require-hashes", "--python-version", target.python),
        *("--target", str(folder), "--requirement", str(lock)),
    ]
