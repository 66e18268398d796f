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
    """Write a generation, which the server's user can read and not change, and return its folder."""
    layout.make_home()
    folder = layout.generations / name
    write_folder(folder, contents, Access.of(user))
    return folder


def write_folder(folder: Path, contents: Mapping[str, bytes], access: Access) -> None:
    """Write a folder of files whole, or keep it, since somebody may be reading it.

    One with other contents, owners or permissions is replaced: a crash or an earlier version of node left
    it, or its files were changed by hand.
    """
    if not differences(folder, contents, access):
        return
    beside = folder.with_name(f".{folder.name}.new")
    files.remove_tree(beside)
    files.make_directory(beside, access.folder_mode, owner=access.owner)
    for file, data in contents.items():
        files.replace_file(beside / file, data, access.file_mode, owner=access.owner)
    files.sync_directory(beside)
    aside = folder.with_name(f".{folder.name}.old")
    _remove(aside)
    if os.path.lexists(folder):
        folder.rename(aside)
    beside.rename(folder)
    _remove(aside)
    files.sync_directory(folder.parent)


def _remove(path: Path) -> None:
    """Remove a folder, or what somebody put in its place."""
    if path.is_dir() and not path.is_symlink():
        files.remove_tree(path)
    else:
        files.remove_file(path)


def prune(layout: Layout, keep: str) -> None:
    """Remove all but the newest generations, and their pristine copies; `keep` is never removed."""
    for parent in (layout.generations, layout.pristine):
        folders = [path for path in parent.iterdir() if path.name != keep]
        newest = sorted(folders, key=lambda path: path.lstat().st_mtime_ns, reverse=True)
        for path in newest[KEPT - 1 :]:
            _remove(path)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who owns a folder of files, and who may do what with it."""

    owner: tuple[int, int]
    folder_mode: int
    file_mode: int

    @classmethod
    def of(cls, user: ServerUser) -> Access:
        """That of a generation, which the server reads."""
        # PostgreSQL takes a key that its group can read from root alone.
        if os.geteuid() == 0:
            return cls(owner=(0, user.gid), folder_mode=0o750, file_mode=0o640)
        return cls(owner=user.owner, folder_mode=0o700, file_mode=0o600)

    @classmethod
    def own(cls) -> Access:
        """That of what only node reads."""
        return cls(owner=(os.geteuid(), os.getegid()), folder_mode=0o700, file_mode=0o600)

    def is_that_of(self, path: Path, kind: Callable[[int], bool], mode: int) -> bool:
        """Whether this very file or folder has that owner and mode."""
        status = path.lstat()
        found = status.st_uid, status.st_gid
        return kind(status.st_mode) and found == self.owner and stat.S_IMODE(status.st_mode) == mode


def differences(folder: Path, contents: Mapping[str, bytes], access: Access) -> list[str]:
    """What was changed in a folder of files, in words; empty if it is as it was written."""
    try:
        if not access.is_that_of(folder, stat.S_ISDIR, access.folder_mode):
            return ["the folder of the served files has another owner or other permissions"]
    except FileNotFoundError:
        return ["the folder of the served files was removed"]
    # From here on nobody else can change what is found.
    found = {path.name for path in folder.iterdir()}
    return [
        *(f"{name} was removed" for name in sorted(set(contents) - found)),
        *(f"{name} was added" for name in sorted(found - set(contents))),
        *filter(
            None,
            (difference(folder / name, contents[name], access) for name in sorted(found & set(contents))),
        ),
    ]


def difference(path: Path, content: bytes, access: Access) -> str | None:
    """What was changed in one file, in words; None if it is as it was written."""
    try:
        if not access.is_that_of(path, stat.S_ISREG, access.file_mode):
            return f"{path.name} has another owner or other permissions"
        if path.lstat().st_size == len(content) and files.read_file(path) == content:
            return None
    except FileNotFoundError:
        return f"{path.name} was removed"
    except files.PlantedError:
        pass
    return f"{path.name} was changed"
