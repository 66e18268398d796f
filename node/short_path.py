"""Folders for Unix sockets, whose paths have at most 107 bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from node.server_user import ServerUser
from runtime import files
from runtime.errors import FailedError
from runtime.files import PlantedError

# `.s.PGSQL.65535.lock` is the longest name that PostgreSQL puts into the folder.
# Not $TMPDIR: it may differ between the process that starts the server and the one that removes the folder,
# and the server's user may not be able to enter it. The folder's owner and mode keep others out.
STAND_INS = Path("/tmp")  # noqa: S108
LONGEST_DIRECTORY = 107 - len("/.s.PGSQL.65535.lock")


def socket_directory(wanted: Path) -> Path:
    """`wanted` itself, or a short path that is always the same for the same `wanted`."""
    if len(bytes(wanted)) <= LONGEST_DIRECTORY:
        return wanted
    name = hashlib.sha256(bytes(wanted)).hexdigest()[:16]
    return STAND_INS / f"passwordless-postgres-{name}"


def make_socket_directory(path: Path, user: ServerUser) -> None:
    """Make the folder for its user alone.

    Raises:
        FailedError: the path is a link, or another user's folder.
    """
    try:
        user.make_directory(path)
    except PlantedError as error:
        raise FailedError(f"{path} must be a folder of user {user.name}: {error.strerror}") from error


def remove_stand_in(wanted: Path) -> None:
    """Remove the folder that stands in for `wanted`, if there is one."""
    directory = socket_directory(wanted)
    if directory != wanted and directory.is_dir() and not directory.is_symlink():
        files.remove_tree(directory)
