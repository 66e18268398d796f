"""Finding and stopping the PostgreSQL servers whose data lies below a folder."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from node.layout import Layout
from node.short_path import remove_stand_in

# A fast shutdown, then, when that takes too long, an immediate one, which leaves recovery to the next start.
_ENDING = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))


def postmasters(root: Path) -> list[psutil.Process]:
    """Servers with a data directory below `root`.

    A pid file alone proves nothing after a crash: the process must work in that very directory, as
    postmasters do.
    """
    return [process for folder in _data_directories(root) if (process := _postmaster(folder)) is not None]


def _data_directories(root: Path) -> Iterator[Path]:
    for folder, children, files in os.walk(root, followlinks=True):
        if "PG_VERSION" in files:
            children.clear()
            yield Path(folder)


def _postmaster(folder: Path) -> psutil.Process | None:
    try:
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        inside = Path(process.cwd()).samefile(folder)
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process if inside else None


def stop_postmasters(root: Path) -> int:
    """Stops them: clients are disconnected, data is written. Returns how many there were.

    Raises:
        RuntimeError: One does not end.
    """
    servers = alive = postmasters(root)
    for number, seconds in _ENDING:
        for server in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.send_signal(number)
        alive = [server for server in alive if not ended(server, seconds)]
    if alive:
        pids = ", ".join(str(server.pid) for server in alive)
        raise RuntimeError(f"PostgreSQL below {root} does not end (process {pids}); end it and try again")
    return len(servers)


def ended(process: psutil.Process, seconds: float | None = None) -> bool:
    """Waits for the end of a process; False when the time is over."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        # Readable as soon as it has ended, also while nobody has asked for its status.
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return not process.is_running() or bool(poll.poll(None if seconds is None else seconds * 1000))
    finally:
        os.close(descriptor)


def remove_sockets(root: Path) -> None:
    """Removes the socket folders that stand in for those below this machine's root."""
    layout = Layout(root)
    for wanted in (root / "run/postgresql", *(home / "socket" for home in layout.scratch.glob("*"))):
        remove_stand_in(wanted)
