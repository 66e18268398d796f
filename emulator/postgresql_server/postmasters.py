"""Finding and stopping the PostgreSQL servers whose data lies below a folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from node.layout import Layout
from node.short_path import remove_stand_in

_STOP_SECONDS = 60.0
_KILL_SECONDS = 10.0


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
    """Stops them the fast way: clients are disconnected, data is written. Returns how many there were.

    Raises:
        RuntimeError: One does not end, even when killed.
    """
    servers = postmasters(root)
    for server in servers:
        _signal(server, signal.SIGINT)
    _, alive = psutil.wait_procs(servers, timeout=_STOP_SECONDS)
    for server in alive:
        _signal(server, signal.SIGQUIT)
    _, alive = psutil.wait_procs(alive, timeout=_KILL_SECONDS)
    if alive:
        pids = ", ".join(str(server.pid) for server in alive)
        raise RuntimeError(f"PostgreSQL below {root} does not end (process {pids}); end it and try again")
    return len(servers)


def _signal(server: psutil.Process, number: signal.Signals) -> None:
    try:
        server.send_signal(number)
    except psutil.NoSuchProcess:
        return


def remove_sockets(root: Path) -> None:
    """Remove the socket folders that stand in for those below this machine's root."""
    layout = Layout(root)
    for wanted in (root / "run/postgresql", *(home / "socket" for home in layout.scratch.glob("*"))):
        remove_stand_in(wanted)
