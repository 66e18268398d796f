"""Finding or installing the Pulumi engine with its Python language host.

Order: the folder named by PASSWORDLESS_POSTGRES_ENGINE, a suitable `pulumi` on PATH, the project's
cache, the official installer, Go modules from `tools/pulumi`. The last two install to the cache:
`$XDG_CACHE_HOME/passwordless-postgres/engine/<version>-<os>-<arch>/bin`, shared by all checkouts.
A folder with that name is always complete: it is made under another name, tested and renamed.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine import go_modules, official_installer
from engine.errors import CommandError
from engine.progress import Progress, Step

ENGINE_VERSION = "3.259.0"
ENGINE_VARIABLE = "PASSWORDLESS_POSTGRES_ENGINE"
# Policy packs need no other command: unlike older releases, this one has no analyzer script.
COMMANDS = (
    "pulumi",
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)
VERSION_TIMEOUT_SECONDS = 30

Version = tuple[int, int, int]


class EngineError(CommandError):
    """No engine was found and none could be installed; the text lists what was tried."""


class UnsuitableError(Exception):
    """A folder does not contain an engine that this project can use; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A working engine: the folder of its commands, its version, and where it came from."""

    folder: Path
    version: str
    origin: str

    @property
    def command(self) -> str:
        """The `pulumi` executable."""
        return str(self.folder / "pulumi")

    def search_path(self, inherited: str) -> str:
        """PATH on which the engine finds its own language host first."""
        return f"{self.folder}{os.pathsep}{inherited}" if inherited else str(self.folder)


def parse_version(text: str) -> Version:
    """The version number in a text such as `v3.259.0`.

    Raises:
        ValueError: the text contains none.
    """
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise ValueError(f"no version number in {text!r}")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def cache_root(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the engines that all checkouts share."""
    base = environment.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    folder = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return folder / "passwordless-postgres" / "engine"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of this version of the engine for this kind of machine."""
    machine = f"{platform.system().lower()}-{platform.machine()}"
    return cache_root(environment) / f"{ENGINE_VERSION}-{machine}"


def examine(folder: Path, origin: str) -> Engine:
    """The engine in `folder`, after running it.

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
        # Even this command writes a log to the engine's home, which would be the user's.
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
    # Package managers put links on PATH; the language host is in the folder of the real file.
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
            step.detail = "another process is installing it; waiting for that one"
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _publish(partial: Path, final: Path, origin: str) -> Engine:
    """Test the engine in `partial` and give it its final name.

    Raises:
        UnsuitableError: the engine is incomplete.
    """
    examine(partial / "bin", origin)
    for entry in partial.iterdir():
        if entry.name != "bin":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    return examine(final / "bin", origin)


def _install(final: Path, step: Step, tried: list[str]) -> Engine:
    installers: list[tuple[str, Path, Callable[[Path, str, Step], None]]] = [
        ("the official installer", final.with_name(f"{final.name}.installing"), official_installer.install),
        ("Go modules", final.with_name(f"{final.name}.partial"), go_modules.build),
    ]
    # A process that was killed between the end of a build and its renaming has left a complete engine.
    for origin, partial, _ in installers:
        with suppress(UnsuitableError):
            return _publish(partial, final, origin)
    for origin, partial, install in installers:
        partial.mkdir(exist_ok=True)
        try:
            install(partial, ENGINE_VERSION, step)
            engine = _publish(partial, final, origin)
        except (official_installer.InstallerError, go_modules.BuildError, UnsuitableError) as problem:
            tried.append(f"{origin}: {problem}")
            step.say(f"engine: {origin} did not work: {problem}")
        else:
            for _, other, _ in installers:
                shutil.rmtree(other, ignore_errors=True)
            return engine
    raise EngineError(
        f"There is no Pulumi engine, and none can be installed on {platform.system()} {platform.machine()}:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"Install Pulumi >= {ENGINE_VERSION} with its Python language host and put it on PATH, or install "
        f"Go >= {go_modules.MINIMUM_GO_TEXT} with access to a Go module proxy, then run this again."
    )


def ensure(progress: Progress) -> Engine:
    """Find the engine, or install it; idempotent, and safe to run several times at once.

    Raises:
        EngineError: none was found and none could be installed.
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
                    engine = _install(final, step, tried)
        except OSError as error:
            raise EngineError(
                f"The engine's cache {final} cannot be written: {error}. Free some space, or set "
                "XDG_CACHE_HOME to a folder that can be written."
            ) from error
        step.result = f"Pulumi {engine.version} from {engine.origin}, installed in {engine.folder}"
        return engine
