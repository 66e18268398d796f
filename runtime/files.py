"""Files, links and folders that exist whole or not at all, also after a crash.

A temporary name beside the target is random and created exclusively, so that neither another writer nor
a link that somebody put there decides what is written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def replace_file(
    path: Path,
    content: str | bytes,
    mode: int = 0o600,
    *,
    owner: tuple[int, int] | None = None,
    durable: bool = False,
) -> None:
    """Write a file so that its path names the old content or the new one at any moment.

    Args:
        path: the file; its folder exists.
        content: what it holds afterwards; a string is encoded as UTF-8.
        mode: its permissions, whatever the umask.
        owner: (uid, gid); this process's own when None.
        durable: whether the new name must survive a loss of power; the content always does.
    """
    partial = _partial(path)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def replace_link(path: Path, target: Path) -> None:
    """Point the symbolic link `path` to `target` atomically; it survives a loss of power."""
    partial = _partial(path)
    partial.symlink_to(target)
    try:
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def make_directory(path: Path, mode: int) -> None:
    """Make a folder with these permissions; missing folders above it are made enterable for all."""
    for missing in reversed([parent for parent in path.parents if not parent.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o755)
    path.mkdir(exist_ok=True)
    path.chmod(mode)


def sync_directory(path: Path) -> None:
    """Make renames and new entries in a folder survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no file or it holds something else."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(8).hex()}")
