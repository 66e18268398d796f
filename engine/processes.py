"""The processes that belong to a folder, and how they are ended without touching any other.

A process belongs to a folder when one of these holds: our environment variable names the folder; it runs on
an emulated machine whose root lies in the folder; it is a PostgreSQL server whose data lies in the folder. A
process number alone proves nothing, because the system reuses numbers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

# An earlier version's processes carry this name, too: `make clean` must find them.
FOLDER_VARIABLE = "PASSWORDLESS_POSTGRES_SANDBOX"
PART_VARIABLE = "PASSWORDLESS_POSTGRES_PART"
# An emulated machine starts its programs with this variable and without the two above.
MACHINE_ROOT = "PASSWORDLESS_POSTGRES_ROOT"
POSTMASTER_NAMES = ("postgres", "postmaster")
TERMINATION_SECONDS = 15.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One process, told from every other: its number, and its start in clock ticks since boot."""

    pid: int
    started: int

    @property
    def is_alive(self) -> bool:
        """Whether this process still runs; a zombie does not."""
        return self == identity_of(self.pid)


def identity_of(pid: int) -> Identity | None:
    """The identity of a running process; None when no process has that number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in brackets, may itself contain brackets and spaces.
    fields = text.rpartition(")")[2].split()
    state, started = fields[0], int(fields[19])
    return None if state in "ZX" and not _has_other_threads(pid) else Identity(pid=pid, started=started)


def _has_other_threads(pid: int) -> bool:
    # A killed process is a zombie as soon as its first thread has ended; the others still hold its ports.
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


def marked_environment(folder: Path, part: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """The inherited environment, marked so that `find` knows a process and its children by folder and part.

    These processes talk to each other on loopback, so the environment exempts loopback from the user's proxy.
    """
    environment = {**inherited, FOLDER_VARIABLE: str(folder), PART_VARIABLE: part}
    for name in ("NO_PROXY", "no_proxy"):
        given = [entry for entry in environment.get(name, "").split(",") if entry]
        environment[name] = ",".join(dict.fromkeys([*given, "localhost", "127.0.0.1", "::1"]))
    return environment


def _is_marked(pid: int, folder: Path, part: str | None) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    if part is None and any(entry.startswith(f"{MACHINE_ROOT}={folder}/".encode()) for entry in environment):
        return True
    return f"{FOLDER_VARIABLE}={folder}".encode() in environment and (
        part is None or f"{PART_VARIABLE}={part}".encode() in environment
    )


def _is_server(pid: int, folder: Path) -> bool:
    """Whether the process is a PostgreSQL server with its data in the folder."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    if Path(arguments[0]).name not in POSTMASTER_NAMES:
        return False
    return any(f"{folder}/" in argument for argument in arguments[1:])


def find(folder: Path, part: str | None = None) -> list[Identity]:
    """Every running process that belongs to a folder, except this process and its parents.

    With `part` only the processes that this part started, without PostgreSQL servers and machines.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for pid in psutil.pids():
        if pid not in own and (_is_marked(pid, folder, part) or (part is None and _is_server(pid, folder))):
            identity = identity_of(pid)
            if identity is not None:
                found.append(identity)
    return found


def wait_until_gone(identities: Iterable[Identity], seconds: float) -> list[Identity]:
    """Wait until processes have ended; returns those that still run after `seconds`."""
    deadline = time.monotonic() + seconds
    remaining = list(identities)
    while (remaining := [each for each in remaining if each.is_alive]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return remaining


def terminate(identities: Iterable[Identity], seconds: float = TERMINATION_SECONDS) -> list[Identity]:
    """Terminate processes, and kill those that still run after `seconds`; returns those that ran.

    A PostgreSQL server gets the signal of its fast shutdown, which does not wait for clients.
    """
    wanted = [identity for identity in identities if identity.is_alive]
    for identity in wanted:
        send_signal(identity, signal.SIGINT if _is_postmaster(identity) else signal.SIGTERM)
    for identity in wait_until_gone(wanted, seconds):
        send_signal(identity, signal.SIGKILL)
    wait_until_gone(wanted, seconds)
    return wanted


def _is_postmaster(identity: Identity) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(identity.pid).name() in POSTMASTER_NAMES
    return False


def send_signal(identity: Identity, number: signal.Signals) -> None:
    """Send a signal to this process, never to another one that has got its number since."""
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
