"""The program that runs on a machine, as one file. Pure but for reading our own source."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from components.zip_archive import PROJECT, pack, package_sources

_PACKAGES = ("node", "postgres", "documents", "runtime")
_MAIN = "from node.__main__ import main\n\nmain()\n"


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
    """The artifact made of the packages `node`, `postgres`, `documents` and `runtime` below `root`."""
    content = pack({**package_sources(_PACKAGES, root), "__main__.py": _MAIN.encode()})
    return NodeArtifact(content=content, sha256=hashlib.sha256(content).hexdigest())
