"""Files, links and folders, for programs that share a machine with users whom they do not trust.

A path is walked folder by folder. A symbolic link in it is followed only where nobody but root and this
process's own user can have put it: one that another user planted ends the call. What is found is checked
on the open file: no FIFO, device or socket is read, and nothing is given to a user through a path that
may have changed since it was looked at.

Files exist whole or not at all, also after a crash. A temporary name beside the target is random and created
exclusively, so that neither another writer nor a link that somebody put there decides what is written.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NoReturn

LARGEST_BYTES = 64 * 1024**2
"""The most that is read of one file, unless the caller says otherwise."""

_LOOK = os.O_PATH | os.O_NOFOLLOW
_WALK = _LOOK | os.O_DIRECTORY
_MOST_STEPS = 512
"""Folders and links on one way; links that lead to each other would have no end."""


class PlantedError(OSError):
    """Something that another user may have put there to mislead this program; the text names it."""

    def __init__(self, path: str | Path, what: str) -> None:
        """Name the path and what is wrong with it."""
        super().__init__(errno.EPERM, f"{what}; remove it", str(path))


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
        path: the file; its folder exists. A link in its place is replaced.
        content: what it holds afterwards; a string is encoded as UTF-8.
        mode: its permissions, whatever the umask.
        owner: (uid, gid); this process's own when None.
        durable: whether the new name must survive a loss of power; the content always does.

    Raises:
        PlantedError: the path leads through another user's link.
    """
    with _place(path) as (folder, name):
        partial = _partial(name)
        descriptor = os.open(
            partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                if owner is not None and owner != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(descriptor)
            os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=folder)
            raise
        if durable:
            _sync(folder)


def replace_link(path: Path, target: Path) -> None:
    """Point the symbolic link `path` to `target` atomically; it survives a loss of power.

    Raises:
        PlantedError: the path leads through another user's link.
    """
    with _place(path) as (folder, name):
        partial = _partial(name)
        os.symlink(target, partial, dir_fd=folder)
        try:
            os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=folder)
            raise
        _sync(folder)


def make_directory(path: Path, mode: int, *, owner: tuple[int, int] | None = None) -> None:
    """Make a folder with these permissions; missing folders above it are made enterable for all.

    Args:
        path: the folder.
        mode: its permissions, whatever the umask; an existing folder gets them too.
        owner: (uid, gid) that it gets; None leaves an existing folder's.

    Raises:
        PlantedError: the path leads through another user's link, or ends at something of another user in
            a folder where others may put things.
    """
    with _place(path, follow=True, make=True) as (folder, name):
        made = _make_one(folder, name)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        except NotADirectoryError:
            raise PlantedError(path, "is not a folder") from None
        try:
            status = os.fstat(descriptor)
            wanted = os.geteuid() if owner is None else owner[0]
            if not made and status.st_uid != wanted and not _is_closed(folder):
                raise PlantedError(path, f"belongs to user {status.st_uid}, not to {wanted}")
            if owner is not None and owner != (status.st_uid, status.st_gid):
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make renames and new entries in a folder survive a loss of power."""
    with _folder(path) as folder:
        os.fsync(folder)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file, open for reading.

    Raises:
        FileNotFoundError: there is none.
        PlantedError: it is no regular file, the path leads through another user's link, or the file has
            several names and others may put names where this one is, also of files that are not theirs.
    """
    with _place(path, follow=True) as (folder, name):
        try:
            # A FIFO would otherwise keep the call waiting for a writer.
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise PlantedError(path, "is not a regular file") from None
            raise
        status = os.fstat(descriptor)
        regular, alone = stat.S_ISREG(status.st_mode), status.st_nlink <= 1 or _is_closed(folder)
        if not (regular and alone):
            os.close(descriptor)
            wrong = f"has {status.st_nlink} names" if regular else "is not a regular file"
            raise PlantedError(path, wrong)
    with os.fdopen(descriptor, "rb") as file:
        yield file


def read_file(path: Path, *, most: int = LARGEST_BYTES) -> bytes:
    """What a file holds.

    Raises:
        FileNotFoundError: there is none.
        PlantedError: as `opened`, or it holds more than `most` bytes.
    """
    with opened(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise PlantedError(path, f"holds more than {most} bytes")
    return content


def read_end(path: Path, most: int) -> bytes:
    """The last bytes of a file, at most `most`.

    Raises:
        FileNotFoundError: there is none.
        PlantedError: as `opened`.
    """
    with opened(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - most))
        return file.read(most)


def read_json_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no file or it holds something else.

    Raises:
        PlantedError: as `read_file`.
    """
    try:
        value = json.loads(read_file(path))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def names(folder: Path) -> list[str]:
    """The names in a folder.

    Raises:
        FileNotFoundError: there is no such folder.
        PlantedError: the path leads through another user's link.
    """
    with _folder(folder) as descriptor, os.scandir(descriptor) as entries:
        return [entry.name for entry in entries]


def regular_files(folder: Path, suffix: str) -> dict[str, os.stat_result]:
    """The regular files of a folder whose names end so; links and everything else are left out.

    Raises:
        FileNotFoundError: there is no such folder.
        PlantedError: the path leads through another user's link.
    """
    found: dict[str, os.stat_result] = {}
    with _folder(folder) as descriptor, os.scandir(descriptor) as entries:
        for entry in entries:
            if entry.name.endswith(suffix) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    found[entry.name] = entry.stat(follow_symlinks=False)
    return found


def remove_file(path: Path) -> None:
    """Remove a file or a link, if it is there.

    Raises:
        PlantedError: the path leads through another user's link.
    """
    with suppress(FileNotFoundError), _place(path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def remove_tree(path: Path) -> None:
    """Remove a folder and what is in it, if it is there; no link in it is followed.

    Raises:
        PlantedError: the path leads through another user's link.
    """
    # Its import brings all of Python's compressors, and runs that find nothing to do need none.
    import shutil  # noqa: PLC0415

    with suppress(FileNotFoundError), _place(path) as (folder, name):
        shutil.rmtree(name, dir_fd=folder)


def change_owner(path: Path, before: int, owner: tuple[int, int]) -> None:
    """Give a folder and what is in it to another user, as far as it belongs to the user id `before`.

    What belongs to somebody else, and files that have a further name elsewhere, stay as they are; no link
    is followed.

    Raises:
        PlantedError: the path leads through another user's link.
    """
    with _place(path) as (above, top):
        for _, folders, others, folder in os.fwalk(top, dir_fd=above, follow_symlinks=False):
            for name in (*folders, *others, "."):
                descriptor = os.open(name, _LOOK, dir_fd=folder)
                try:
                    status = os.fstat(descriptor)
                    alone = stat.S_ISDIR(status.st_mode) or status.st_nlink == 1
                    if status.st_uid == before and alone:
                        # This names exactly what was looked at, whatever has its name now.
                        os.chown(f"/proc/self/fd/{descriptor}", *owner)
                finally:
                    os.close(descriptor)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    """A folder, open for reading."""
    with _place(path, follow=True) as (above, name):
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _place(path: Path, *, follow: bool = False, make: bool = False) -> Iterator[tuple[int, str]]:
    """The open folder that a path ends in, and the name in it.

    Args:
        path: the path; nothing need have its name.
        follow: whether the path also ends where a link of that name leads.
        make: whether missing folders on the way are made.

    Raises:
        PlantedError: a link on the way is one that another user may have put there.
    """
    rest = list(reversed(path.parts))
    current = os.open(rest.pop() if path.is_absolute() else ".", _WALK)
    try:
        for _ in range(_MOST_STEPS):
            name = rest.pop() if rest else "."
            target = _link(current, name, path) if rest or follow else None
            if target is not None:
                rest += reversed(PurePath(target).parts)
                if PurePath(target).is_absolute():
                    current = _entered(current, rest.pop())
            elif not rest:
                yield current, name
                return
            else:
                if make:
                    _make_one(current, name, 0o755)
                current = _entered(current, name)
        _end_in_a_circle(path)
    except OSError as error:
        # What is called with the folder's descriptor knows the name in it alone.
        if isinstance(error.filename, str) and not Path(error.filename).is_absolute():
            error.filename = str(path)
        raise
    finally:
        os.close(current)


def _end_in_a_circle(path: Path) -> NoReturn:
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _link(folder: int, name: str, path: Path) -> str | None:
    """Where a link leads that this process may follow; None if that name is no link."""
    try:
        target = os.readlink(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
    status, around = os.stat(name, dir_fd=folder, follow_symlinks=False), os.fstat(folder)
    kept = around.st_uid in _trusted() and bool(around.st_mode & stat.S_ISVTX)
    if status.st_uid not in _trusted() or status.st_nlink > 1 or not (kept or _is_closed(folder)):
        raise PlantedError(path, f"leads through the link {name}, which another user may have put there")
    return target


def _entered(folder: int, name: str) -> int:
    """The folder of that name, instead of the one that it is in."""
    following = os.open(name, _WALK, dir_fd=folder)
    os.close(folder)
    return following


def _make_one(folder: int, name: str, mode: int = 0o700) -> bool:
    """Make a folder with exactly these permissions; False if the name is taken."""
    try:
        os.mkdir(name, mode=0o700, dir_fd=folder)
    except FileExistsError:
        return False
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return True


def _trusted() -> tuple[int, int]:
    return 0, os.geteuid()


def _is_closed(folder: int) -> bool:
    """Whether nobody but root and this process's own user can put names into a folder."""
    status = os.fstat(folder)
    # An ordinary user's group is usually the user's own; on a machine, the server's folders are open to its.
    open_to = stat.S_IWOTH if os.geteuid() else stat.S_IWOTH | stat.S_IWGRP
    return status.st_uid in _trusted() and not status.st_mode & open_to


def _sync(folder: int) -> None:
    # The folder was opened to be walked through, which does not allow this.
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _partial(name: str) -> str:
    return f".{name}.{os.urandom(8).hex()}"
