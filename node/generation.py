"""Generations of the configuration: one complete folder each."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.layout import Layout
from node.server_user import ServerUser
from runtime import files

KEPT = 3
"""How many generations are kept: the current one and the ones before it, for inspection."""


def name_of(serial: int, manifest_sha256: str) -> str:
    """`<serial>-<first 8 digits of the manifest's SHA-256>`."""
    return f"{serial}-{manifest_sha256[:8]}"


def write(layout: Layout, name: str, contents: Mapping[str, bytes], user: ServerUser) -> Path:
    """Write a generation, which the server's user can read and not change, and return its folder.

    An existing folder of that name with the same contents is kept, since the server may be reading it.
    One with other contents, owners or permissions is replaced: a crash or an earlier version of node left
    it, or its files were changed by hand.
    """
    layout.make_home()
    folder = layout.generations / name
    access = _Access.of(user)
    if _holds(folder, contents, access):
        return folder
    beside = layout.generations / f".{name}.new"
    files.remove_tree(beside)
    files.make_directory(beside, access.folder_mode, owner=access.owner)
    for file, data in contents.items():
        files.replace_file(beside / file, data, access.file_mode, owner=access.owner)
    files.sync_directory(beside)
    aside = layout.generations / f".{name}.old"
    files.remove_tree(aside)
    if folder.exists():
        folder.rename(aside)
    beside.rename(folder)
    files.remove_tree(aside)
    files.sync_directory(layout.generations)
    return folder


def prune(layout: Layout, keep: str) -> None:
    """Remove all but the newest generations; `keep` is never removed."""
    folders = [path for path in layout.generations.iterdir() if path.name != keep]
    newest = sorted(folders, key=lambda path: path.lstat().st_mtime_ns, reverse=True)
    for path in newest[KEPT - 1 :]:
        files.remove_tree(path)


@dataclass(frozen=True, kw_only=True)
class _Access:
    """Who owns a generation, and who may do what with it."""

    owner: tuple[int, int]
    folder_mode: int
    file_mode: int

    @classmethod
    def of(cls, user: ServerUser) -> _Access:
        # PostgreSQL takes a key that its group can read from root alone.
        if os.geteuid() == 0:
            return cls(owner=(0, user.gid), folder_mode=0o750, file_mode=0o640)
        return cls(owner=user.owner, folder_mode=0o700, file_mode=0o600)

    def is_that_of(self, path: Path, kind: Callable[[int], bool], mode: int) -> bool:
        status = path.lstat()
        found = status.st_uid, status.st_gid
        return kind(status.st_mode) and found == self.owner and stat.S_IMODE(status.st_mode) == mode


def _holds(folder: Path, contents: Mapping[str, bytes], access: _Access) -> bool:
    try:
        if not access.is_that_of(folder, stat.S_ISDIR, access.folder_mode):
            return False
    except FileNotFoundError:
        return False
    # From here on nobody else can change what is found.
    return {path.name for path in folder.iterdir()} == set(contents) and all(
        access.is_that_of(folder / file, stat.S_ISREG, access.file_mode)
        and (folder / file).read_bytes() == data
        for file, data in contents.items()
    )
