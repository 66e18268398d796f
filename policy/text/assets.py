"""Files, folders and archives that a program hands over as assets, read where they lie.

The engine sends an asset's path, relative to the folder in which it and the pack run, and a file's SHA-256.
Other people's packages inside of an archive are left out: their documentation and tests state what nobody
here uses.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from pulumi.runtime import rpc

_SIGNATURE = rpc._special_sig_key
_ASSETS = (rpc._special_asset_sig, rpc._special_archive_sig)

LARGEST_FILE = 4 * 1024 * 1024
"""Most bytes of a file that is read."""

LARGEST_TOTAL = 16 * 1024 * 1024
"""Most bytes that are read of one archive or folder, without other people's packages."""

_LARGEST_TAR = 64 * 1024 * 1024
_MOST_MEMBERS = 20_000
_HEAD = 8192
_SHA256 = 64
_MAGIC = {b"PK\x03\x04": "zip", b"\x1f\x8b": "tar", b"BZh": "tar", b"\xfd7zXZ": "tar"}
_VENDORED = re.compile(
    r"(?:^|/)(?:site-packages|dist-packages|node_modules|vendor|tests?|\.git|\.venv|__pycache__)/"
)
_DIST_INFO = re.compile(r"([\w.]+)-[\w.!+]+\.(?:dist-info|data|libs)/")
_PACKED = (".whl", ".jar", ".gz", ".bz2", ".xz", ".tgz", ".zip", ".tar")
_ARCHIVED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_ERRORS = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    NotImplementedError,
    RuntimeError,
)


class Member(NamedTuple):
    """A file of an asset.

    Attributes:
        name: Its path in the archive or folder; empty for an asset that is one file.
        data: Its content.
    """

    name: str
    data: bytes


class Contents(NamedTuple):
    """What an asset holds.

    Attributes:
        members: The files that could hold text.
        problem: Why some could not be read; empty where all were.
    """

    members: tuple[Member, ...] = ()
    problem: str = ""


def is_asset(raw: Mapping[str, Any]) -> bool:
    """Whether a property's value is an asset or an archive."""
    return raw.get(_SIGNATURE) in _ASSETS


def contents(raw: Mapping[str, Any]) -> Contents:
    """What an asset with a path or a URI holds; those with a text or with assets inside hold them openly."""
    if isinstance(path := raw.get("path"), str):
        digest = raw.get("hash")
        return _of_path(path, digest if isinstance(digest, str) else "", _changed(path))
    return Contents(problem="it lies elsewhere, so it cannot be read here") if raw.get("uri") else Contents()


def members_of_zip(data: bytes) -> Contents:
    """The files of a zip file."""
    try:
        return _of_zip(io.BytesIO(data))
    except _ERRORS:
        return Contents(problem="it is a damaged archive")


def _changed(path: str) -> int:
    """When a file was changed, so that a result is kept for as long as it is right."""
    try:
        return Path(path).stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


@lru_cache(maxsize=64)
def _of_path(path: str, digest: str, _changed: int) -> Contents:
    file = Path(path)
    try:
        if file.is_dir():
            return _of_folder(file)
        with file.open("rb") as opened:
            found = _of_file(opened, file.stat().st_size)
    except (ValueError, *_ERRORS):
        return Contents(problem=f"{path} cannot be read here")
    read = [each for each in found.members if not each.name]
    if any(len(digest) == _SHA256 and hashlib.sha256(each.data).hexdigest() != digest for each in read):
        return Contents(problem=f"{path} is not the file that the program gave, so it is not read")
    return found


def _of_file(opened: Any, size: int) -> Contents:
    head = opened.read(_HEAD)
    opened.seek(0)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if kind == "zip":
        return _of_zip(opened)
    if kind == "tar" or head[257:262] == b"ustar":
        return _of_tar(opened, size)
    if b"\0" in head:
        return Contents()
    if size > LARGEST_FILE:
        return Contents(problem=f"it is larger than {LARGEST_FILE >> 20} MiB, so it is not read")
    return Contents(members=(Member("", opened.read()),))


def _of_zip(opened: Any) -> Contents:
    with zipfile.ZipFile(opened) as archive:

        def read(entry: zipfile.ZipInfo, most: int) -> bytes:
            with archive.open(entry) as inside:
                return inside.read(most)

        listed = [each for each in archive.infolist() if not each.is_dir()]
        return _chosen([Entry(each.filename, each.file_size, partial(read, each)) for each in listed])


def _of_tar(opened: Any, size: int) -> Contents:
    if size > _LARGEST_TAR:
        return Contents(problem=f"it is an archive of more than {_LARGEST_TAR >> 20} MiB, so it is not read")
    try:
        with tarfile.open(fileobj=opened) as archive:
            listed = [each for each in archive if each.isfile()]

            def read(entry: tarfile.TarInfo, most: int) -> bytes:
                inside = archive.extractfile(entry)
                return inside.read(most) if inside else b""

            return _chosen([Entry(each.name, each.size, partial(read, each)) for each in listed])
    except tarfile.ReadError:
        # Compressed, and no archive: one file.
        opened.seek(0)
        return Contents(members=(Member("", opened.read()),))


def _of_folder(folder: Path) -> Contents:
    files = (
        Path(parent) / name
        for parent, folders, names in os.walk(folder)
        if not _VENDORED.search(f"{Path(parent).relative_to(folder).as_posix()}/") or folders.clear()
        for name in names
    )
    listed = [each for each in files if each.is_file() and not each.is_symlink()]

    def read(file: Path, most: int) -> bytes:
        with file.open("rb") as opened:
            return opened.read(most)

    return _chosen(
        [
            Entry(each.relative_to(folder).as_posix(), each.stat().st_size, partial(read, each))
            for each in listed
        ]
    )


class Entry(NamedTuple):
    """A file in an archive or folder, before it is read.

    Attributes:
        name: Its path there.
        size: Its size in bytes, as stated.
        read: Reads so many bytes of it at most.
    """

    name: str
    size: int
    read: Callable[[int], bytes]


def _chosen(entries: list[Entry]) -> Contents:
    """The files that are a team's own and hold text, within the limits."""
    if len(entries) > _MOST_MEMBERS:
        return Contents(problem=f"it has more than {_MOST_MEMBERS} files, so they are not read")
    packages = frozenset(name for each in entries for name in _installed(each))
    members: list[Member] = []
    left: list[str] = []
    total = 0
    for each in entries:
        top = each.name.partition("/")[0].removesuffix(".py").lower()
        if top in packages or _VENDORED.search(each.name) or _DIST_INFO.match(each.name):
            continue
        if each.name.endswith(_PACKED) or b"\0" in each.read(_HEAD):
            left += [each.name] if each.name.endswith(_ARCHIVED) else []
            continue
        total += each.size
        if each.size > LARGEST_FILE or total > LARGEST_TOTAL:
            left.append(each.name)
        else:
            members.append(Member(each.name, each.read(LARGEST_FILE)))
    problem = f"{', '.join(left[:3])} in it {'is' if len(left) == 1 else 'are'} not read" if left else ""
    return Contents(members=tuple(members), problem=problem)


def _installed(entry: Entry) -> Iterator[str]:
    """Top-level names of a Python package that was installed into a folder, by its metadata."""
    match = _DIST_INFO.match(entry.name)
    if match is None:
        return
    yield match[1].lower()
    if entry.name.endswith((".dist-info/top_level.txt", ".dist-info/RECORD")):
        for line in entry.read(LARGEST_FILE).decode(errors="replace").splitlines():
            top = line.partition(",")[0].partition("/")[0].strip().removesuffix(".py").lower()
            if top and top != "..":
                yield top
