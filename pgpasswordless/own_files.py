"""Files that decide where somebody logs in, and by which programs: nobody else can have written them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class ForeignFileError(Exception):
    """Somebody else can have written the file; the text says why, and what to do."""


def read_own_file(path: Path) -> str:
    """Text of a file that only this user or root can have written.

    File and folder belong to one of them, as do links to them, and nobody else may write either.

    Raises:
        ForeignFileError: somebody else can have written it.
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    for each in (path.parent, path):
        _check(each, each.lstat())
    _check(path.parent, path.parent.stat())
    # A FIFO would be waited for; whatever else is no file reads as an error or as nothing.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        _check(path, os.fstat(file.fileno()))
        return file.read().decode("utf-8")


def _check(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise ForeignFileError(
            f"{path} belongs to the user with the number {found.st_uid}; it must belong to you "
            f"({os.geteuid()}) or to root, for it decides where you log in. Take one of your own"
        )
    # The mode of a link means nothing.
    if found.st_mode & _WRITABLE_BY_OTHERS and not stat.S_ISLNK(found.st_mode):
        raise ForeignFileError(
            f"{path} has the mode {stat.S_IMODE(found.st_mode):04o}, so others can write it, and it decides "
            f"where you log in. See that it is what you wrote, then `chmod go-w {path}`"
        )
