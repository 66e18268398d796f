"""Programs of ours as zip files with the same bytes on every machine. Pure but for reading our source."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

_OLDEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can hold
_UNIX = 3
_READABLE = 0o100644 << 16


def package_sources(packages: Iterable[str], root: Path = PROJECT) -> dict[str, bytes]:
    """The sources of packages below `root`, by path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for package in packages
        for path in (root / package).rglob("*.py")
    }


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip file with the same bytes on every machine: sorted, without times, and stored.

    It is not compressed, because zlib and its replacements compress differently, and another SHA-256
    would be another desired state for every machine.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _OLDEST)
            entry.create_system = _UNIX
            entry.external_attr = _READABLE
            writer.writestr(entry, data)
    return archive.getvalue()
