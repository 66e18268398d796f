"""Whether a server runs on a data directory, without connecting: a connection writes a line to its log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from runtime import files

LOCK_BYTES = 8192
"""PostgreSQL's own limit for a lock file is smaller."""
_SOCKET_LOCK = re.compile(r"\.s\.PGSQL\.[0-9]+\.lock")
# Of what is mapped as code; the kernel's own shared memory and code made at run time have no file either.
_REPLACED = re.compile(r"^\S+ ..x. \S+ \S+ \d+ +(/(?!memfd:|dev/|SYSV).*) \(deleted\)$", re.MULTILINE)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ServerProcess:
    """A running postmaster, as its own `postmaster.pid` describes it.

    `ready` means that it accepts connections; `port` is the one it really listens on, which differs
    from the configured one while a restart is pending.
    """

    pid: int
    port: int
    socket_directory: Path
    ready: bool


def _runs_in(pid: int, data: Path) -> bool:
    # A postmaster's working directory is its data directory; another process with its id has another one.
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return False


def find(data: Path) -> ServerProcess | None:
    """The server on this data directory; None if there is none, even if a stale file names one.

    Raises:
        PlantedError: the file that would name it is not one that a server writes.
    """
    try:
        lines = files.read_file(data / "postmaster.pid", most=LOCK_BYTES).decode().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None
    if not _runs_in(pid, data):
        return None
    return ServerProcess(
        pid=pid,
        port=int(lines[3]) if len(lines) > 3 and _PORT.fullmatch(lines[3].strip()) else 0,
        socket_directory=Path(lines[4].strip() if len(lines) > 4 else ""),
        ready=len(lines) > 7 and lines[7].strip() == "ready",
    )


def replaced_files(process: ServerProcess, program: Path) -> tuple[str, ...]:
    """What a running server still uses although it was replaced on disk, so that a restart brings the new.

    Args:
        process: the server.
        program: its program on disk.

    Returns:
        `server_version` if the program is another one, and names of libraries; empty while either is missing.
    """
    proc = Path(f"/proc/{process.pid}")
    try:
        same = program.samefile(proc / "exe")
        mapped = (proc / "maps").read_text(errors="replace")
    except OSError:
        return ()
    libraries = {Path(found).name for found in _REPLACED.findall(mapped)} - {program.name}
    return (*([] if same else ["server_version"]), *sorted(ascii(name)[1:-1] for name in libraries))


def remove_stale_locks(data: Path, socket_directory: Path) -> None:
    """Remove lock files whose process id now belongs to another program, or to a zombie.

    PostgreSQL itself handles ids that are free. Orphaned backends stay detected: a start also looks
    at the shared memory segment of the data directory.
    """
    try:
        sockets = [name for name in files.names(socket_directory) if _SOCKET_LOCK.fullmatch(name)]
    except FileNotFoundError:
        sockets = []
    for lock in (data / "postmaster.pid", *(socket_directory / name for name in sockets)):
        try:
            text, served = files.read_file(lock, most=LOCK_BYTES).decode().splitlines()[:2]
            pid = int(text)
        except (FileNotFoundError, ValueError):
            continue
        if Path(f"/proc/{pid}").exists() and not _runs_in(pid, Path(served)):
            files.remove_file(lock)
