"""Which processes are this sandbox's own, and ending them and nobody else's.

A process is ours when it carries our environment variable with our state folder, when it runs on a
machine whose root lies there, or when it is a PostgreSQL server that was started on a data folder in
it. A process number alone proves nothing: numbers come around again.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "PASSWORDLESS_POSTGRES_SANDBOX"
PART = "PASSWORDLESS_POSTGRES_PART"
# What a machine tells its programs; it passes nothing else on that is ours.
MACHINE_ROOT = "PASSWORDLESS_POSTGRES_ROOT"
POSTMASTER_NAMES = ("postgres", "postmaster")
ENDING_SECONDS = 15.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One process for good: its number, and when it started in clock ticks since the machine's boot."""

    pid: int
    started: int

    @property
    def is_alive(self) -> bool:
        """Whether that same process still runs; one that has ended and was not waited for does not."""
        return self == identity_of(self.pid)


def _start_and_state(pid: int) -> tuple[int, str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in brackets, may itself hold brackets and spaces.
    fields = text.rpartition(")")[2].split()
    return int(fields[19]), fields[0]


def identity_of(pid: int) -> Identity | None:
    """The identity of a running process; None when there is none with that number."""
    found = _start_and_state(pid)
    if found is None or (found[1] in "ZX" and not _has_other_threads(pid)):
        return None
    return Identity(pid=pid, started=found[0])


def _has_other_threads(pid: int) -> bool:
    # A killed process looks ended as soon as its first thread is; the others still hold its ports.
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


def marked_environment(root: Path, part: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """An environment by which a process and its children are known as a part of this sandbox.

    Everything of ours is on loopback, so a proxy of the user's is kept out of it.
    """
    environment = {**inherited, MARK: str(root), PART: part}
    for name in ("NO_PROXY", "no_proxy"):
        given = [entry for entry in environment.get(name, "").split(",") if entry]
        environment[name] = ",".join(dict.fromkeys([*given, "localhost", "127.0.0.1", "::1"]))
    return environment


def _is_marked(pid: int, root: Path, part: str | None) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    if part is None and any(entry.startswith(f"{MACHINE_ROOT}={root}/".encode()) for entry in environment):
        return True
    return f"{MARK}={root}".encode() in environment and (
        part is None or f"{PART}={part}".encode() in environment
    )


def _is_our_server(pid: int, root: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    if Path(arguments[0]).name not in POSTMASTER_NAMES:
        return False
    return any(f"{root}/" in argument for argument in arguments[1:])


def ours(root: Path, part: str | None = None) -> list[Identity]:
    """Every running process of the sandbox in `root`, this one and its parents excepted.

    Args:
        root: the state folder.
        part: only what that part started; None for everything, PostgreSQL's servers included.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for pid in psutil.pids():
        if pid not in own and (_is_marked(pid, root, part) or (part is None and _is_our_server(pid, root))):
            identity = identity_of(pid)
            if identity is not None:
                found.append(identity)
    return found


def names(identities: Iterable[Identity]) -> Iterator[tuple[Identity, str]]:
    """Each process with the name of its program, as far as it still runs."""
    for identity in identities:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(identity.pid)
            yield identity, Path(process.cmdline()[0] if process.cmdline() else process.name()).name


def label(identity: Identity) -> str:
    """What a process runs, for people: `postgres`, `python launcher.py`, `python -m sandbox`."""
    try:
        arguments = psutil.Process(identity.pid).cmdline()
    except psutil.Error:
        arguments = []
    if not arguments:
        return "unknown"
    program = Path(arguments[0]).name
    if not program.startswith("python"):
        return program
    # Interpreter options come first, then a script or a module.
    rest = list(
        itertools.dropwhile(lambda argument: argument.startswith("-") and argument != "-m", arguments[1:])
    )
    return " ".join(["python", *(Path(argument).name for argument in rest[: 2 if rest[:1] == ["-m"] else 1])])


def listens(root: Path, port: int) -> bool:
    """Whether a process of the sandbox in `root` listens on the TCP port."""
    for identity in ours(root):
        with contextlib.suppress(psutil.Error):
            for connection in psutil.Process(identity.pid).net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def wait_until_gone(identities: Iterable[Identity], seconds: float) -> list[Identity]:
    """Wait for the end of processes; those that still run after `seconds` are returned."""
    deadline = time.monotonic() + seconds
    remaining = [identity for identity in identities if identity.is_alive]
    while remaining and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        remaining = [identity for identity in remaining if identity.is_alive]
    return remaining


def end(identities: Iterable[Identity], seconds: float = ENDING_SECONDS) -> list[Identity]:
    """End processes: asked first, a PostgreSQL server for its fast shutdown, forced after `seconds`.

    Returns:
        Those that were ended.
    """
    wanted = [identity for identity in identities if identity.is_alive]
    programs = dict(names(wanted))
    for identity in wanted:
        is_server = programs.get(identity) in POSTMASTER_NAMES
        send(identity, signal.SIGINT if is_server else signal.SIGTERM)
    for identity in wait_until_gone(wanted, seconds):
        send(identity, signal.SIGKILL)
    wait_until_gone(wanted, seconds)
    return wanted


def send(identity: Identity, number: signal.Signals) -> None:
    """Send a signal to that very process, never to one that has taken its number since."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:
        return
    try:
        if identity.is_alive:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)
