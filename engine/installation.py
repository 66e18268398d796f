"""The Pulumi engine with its Python language host: found, or made, without the user's help.

Order: the folder named by PASSWORDLESS_POSTGRES_ENGINE, a suitable `pulumi` on PATH, the project's
cache, the official installer, Go modules from `tools/pulumi`. What is made goes to the cache:
`$XDG_CACHE_HOME/passwordless-postgres/engine/<version>-<os>-<arch>/bin`, shared by all checkouts.
A folder with that name is always whole: it is made beside it and renamed when it has been proven.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import go_modules, official_installer
from engine.errors import CommandError
from engine.progress import Progress, Step

ENGINE_VERSION = "3.259.0"
ENGINE_VARIABLE = "PASSWORDLESS_POSTGRES_ENGINE"
# Policy packs need no more: their own Python runs them, where older releases had an analyzer script beside.
COMMANDS = (
    "pulumi",
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)
VERSION_TIMEOUT_SECONDS = 30

Version = tuple[int, int, int]


class EngineError(CommandError):
    """No engine was found and none could be made; the text lists what was tried."""


class UnsuitableError(Exception):
    """A folder does not hold an engine that this project can use; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine that answers: the folder of its commands, its version, where it came from."""

    folder: Path
    version: str
    origin: str

    @property
    def command(self) -> str:
        """The `pulumi` executable."""
        return str(self.folder / "pulumi")

    def search_path(self, inherited: str) -> str:
        """PATH on which the engine finds its language host and nobody else's."""
        return f"{self.folder}{os.pathsep}{inherited}" if inherited else str(self.folder)


def parse_version(text: str) -> Version:
    """`v3.259.0`, `go version go1.26.8 …` and the like as numbers.

    Raises:
        ValueError: there is no version in the text.
    """
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise ValueError(f"no version number in {text!r}")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def cache_root(environment: Mapping[str, str] = os.environ) -> Path:
    """Where engines are kept between runs and between checkouts."""
    base = environment.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    folder = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return folder / "passwordless-postgres" / "engine"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The cache of this engine's version on this kind of machine."""
    machine = f"{platform.system().lower()}-{platform.machine()}"
    return cache_root(environment) / f"{ENGINE_VERSION}-{machine}"


def examine(folder: Path, origin: str) -> Engine:
    """The engine in `folder`, proven by running it.

    Raises:
        UnsuitableError: a command is missing, does not run, or has the wrong version.
    """
    missing = [name for name in COMMANDS if not os.access(folder / name, os.X_OK)]
    if missing:
        raise UnsuitableError(f"{folder} lacks {', '.join(missing)}")
    version = _version_of(folder / "pulumi")
    wanted = parse_version(ENGINE_VERSION)
    if not wanted <= version < (wanted[0] + 1, 0, 0):
        found = ".".join(map(str, version))
        raise UnsuitableError(
            f"{folder / 'pulumi'} has version {found}, needed is >= {ENGINE_VERSION} and < {wanted[0] + 1}"
        )
    return Engine(folder=folder, version=".".join(map(str, version)), origin=origin)


def _version_of(command: Path) -> Version:
    try:
        # Even this command writes a log into the engine's home, which is the user's otherwise.
        with tempfile.TemporaryDirectory(prefix="pulumi-home-") as home:
            answer = subprocess.run(
                [command, "version"],
                capture_output=True,
                text=True,
                check=True,
                timeout=VERSION_TIMEOUT_SECONDS,
                env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1", "PULUMI_HOME": home},
                stdin=subprocess.DEVNULL,
            )
        return parse_version(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UnsuitableError(f"`{command} version` fails: {error}") from error


def _on_path() -> Engine:
    found = shutil.which("pulumi")
    if found is None:
        raise UnsuitableError("no pulumi on PATH")
    # Package managers put links on PATH; the language host lies beside the real file.
    folders = dict.fromkeys([Path(found).parent, Path(found).resolve().parent])
    problems = []
    for folder in folders:
        try:
            return examine(folder, "PATH")
        except UnsuitableError as problem:
            problems.append(str(problem))
    raise UnsuitableError("; ".join(problems))


@contextmanager
def _exclusive(lock: Path, step: Step) -> Iterator[None]:
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            step.detail = "another set-up is making it; waiting for that one"
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _adopt(partial: Path, final: Path, origin: str) -> Engine:
    """Prove what was made in `partial` and give it its final name.

    Raises:
        UnsuitableError: what was made is not whole.
    """
    examine(partial / "bin", origin)
    for entry in partial.iterdir():
        if entry.name != "bin":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    return examine(final / "bin", origin)


def _make(final: Path, step: Step, tried: list[str]) -> Engine:
    makers: list[tuple[str, str, Callable[[Path, str, Step], None]]] = [
        ("the official installer", ".installing", official_installer.install),
        ("Go modules", ".partial", go_modules.build),
    ]
    # A kill between the end of a build and its renaming leaves nothing to do but that.
    for origin, suffix, _ in makers:
        partial = final.with_name(final.name + suffix)
        try:
            return _adopt(partial, final, origin)
        except UnsuitableError:
            continue
    for origin, suffix, maker in makers:
        partial = final.with_name(final.name + suffix)
        partial.mkdir(exist_ok=True)
        try:
            maker(partial, ENGINE_VERSION, step)
            engine = _adopt(partial, final, origin)
        except (official_installer.InstallerError, go_modules.BuildError, UnsuitableError) as problem:
            tried.append(f"{origin}: {problem}")
            step.say(f"engine: {origin} did not work: {problem}")
        else:
            for _, other, _ in makers:
                shutil.rmtree(final.with_name(final.name + other), ignore_errors=True)
            return engine
    raise EngineError(
        f"There is no Pulumi engine and none could be made for {platform.system()} {platform.machine()}.\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"Install Pulumi >= {ENGINE_VERSION} with its Python language host and put it on PATH, or install "
        f"Go >= {go_modules.MINIMUM_GO_TEXT} with reach to a Go module proxy, then run this again."
    )


def ensure(progress: Progress) -> Engine:
    """The engine to use, made when there is none; idempotent, and safe to run several times at once.

    Raises:
        EngineError: none was found and none could be made.
    """
    tried: list[str] = []
    named = os.environ.get(ENGINE_VARIABLE)
    final = cache_folder()
    sources: list[Callable[[], Engine]] = [
        _on_path,
        lambda: examine(final / "bin", "the cache"),
    ]
    if named:
        sources.insert(0, lambda: examine(Path(named), ENGINE_VARIABLE))
    with progress.step("engine") as step:
        for source in sources:
            try:
                engine = source()
            except UnsuitableError as problem:
                tried.append(str(problem))
            else:
                step.result = f"Pulumi {engine.version} from {engine.origin}, {engine.folder}"
                return engine
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with _exclusive(final.with_name(final.name + ".lock"), step):
                try:
                    engine = examine(final / "bin", "the cache")
                except UnsuitableError:
                    engine = _make(final, step, tried)
        except OSError as error:
            raise EngineError(
                f"The engine's cache {final} cannot be written: {error}. Make room or set XDG_CACHE_HOME to "
                "a folder that can be written."
            ) from error
        step.result = f"Pulumi {engine.version} from {engine.origin}, kept in {engine.folder}"
        return engine
