"""Whether another program is at work on the machine's packages: the locks of dpkg and apt.

They are record locks. Asking who holds one takes none, so the other program is not disturbed.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from pathlib import Path

from runtime.errors import FailedError

WAIT_SECONDS = 300
FRONTEND = "var/lib/dpkg/lock-frontend"
"""Held from before the first package changes until after the last one."""
JOURNAL = "var/lib/dpkg/updates"
# apt waits for none of the latter two: DPkg::Lock::Timeout is about dpkg's own.
LOCKS = (FRONTEND, "var/lib/dpkg/lock", "var/lib/apt/lists/lock", "var/cache/apt/archives/lock")
_FLOCK = "hhqqi0q"  # struct flock of 64-bit Linux


def holder(path: Path) -> str | None:
    """The process that holds a lock, as `process 17 (dpkg)`; None if none does."""
    question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with path.open("rb") as file:
            answer = fcntl.fcntl(file, fcntl.F_GETLK, question)
    except FileNotFoundError:
        return None
    kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
    if kind == fcntl.F_UNLCK:
        return None
    try:
        return f"process {pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return f"process {pid}"


def is_interrupted(root: Path) -> bool:
    """Whether dpkg was cut off: its journal still lies beside its database, and nobody is at work on it."""
    try:
        journal = [path.name for path in (root / JOURNAL).iterdir()]
    except FileNotFoundError:
        return False
    return any(name.isdigit() for name in journal) and holder(root / FRONTEND) is None


def wait(root: Path, locks: tuple[str, ...] = LOCKS) -> None:
    """Wait until nobody holds any of these locks.

    Raises:
        FailedError: somebody still does after WAIT_SECONDS.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    for lock in locks:
        while (other := holder(root / lock)) is not None:
            if time.monotonic() >= deadline:
                raise FailedError(f"{other} has held {root / lock} for {WAIT_SECONDS} seconds")
            time.sleep(1)
