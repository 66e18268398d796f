"""The program that runs on a machine, as one file. Pure but for reading our own source."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

_PACKAGES = ("node", "postgres")
_MAIN = "from node.__main__ import main\n\nmain()\n"
_OLDEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can hold
_UNIX = 3
_READABLE = 0o100644 << 16


@dataclass(frozen=True, kw_only=True)
class NodeArtifact:
    """A zip file that `python3 FILE` runs.

    Attributes:
        content: The file.
        sha256: Its SHA-256.
    """

    content: bytes = field(repr=False)
    sha256: str


def launcher_source(root: Path = PROJECT) -> str:
    """Text of the program that fetches the artifact and runs it."""
    return (root / "node/launcher.py").read_text(encoding="utf-8")


def node_artifact(root: Path = PROJECT) -> NodeArtifact:
    """The artifact made of the packages `node` and `postgres` below `root`."""
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for package in _PACKAGES
        for path in (root / package).rglob("*.py")
    }
    content = pack({**files, "__main__.py": _MAIN.encode()})
    return NodeArtifact(content=content, sha256=hashlib.sha256(content).hexdigest())


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
