"""Our own source in artifacts: which packages each program carries, and how they are packed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

PROJECT = Path(__file__).resolve().parent.parent

Program = Literal["node", "roles function", "gateway"]

PACKAGES: Mapping[Program, tuple[str, ...]] = MappingProxyType(
    {
        "node": ("node", "postgres", "documents", "runtime"),
        "roles function": ("functions", "postgres", "runtime"),
        "gateway": ("gateway", "pgpasswordless", "documents", "postgres", "runtime"),
    }
)
"""The packages of this project that each program carries; it imports no other."""

_OLDEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can hold
_UNIX = 3
_READABLE = 0o100644 << 16


def program_sources(program: Program, root: Path = PROJECT) -> dict[str, bytes]:
    """The sources of a program's packages below `root`, by path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for package in PACKAGES[program]
        for path in (root / package).rglob("*.py")
    }


def launcher_sources(program: Literal["node", "gateway"], root: Path = PROJECT) -> dict[str, str]:
    """The program that fetches an artifact on a machine; part of user-data.

    Texts by path below a folder that `python3 -I` runs.
    """
    sources = {"__main__.py": f"{program}/launcher.py", "runtime/bootstrap.py": "runtime/bootstrap.py"}
    return {path: (root / source).read_text(encoding="utf-8") for path, source in sources.items()}


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
