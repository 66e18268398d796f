"""The program that runs on a database's machine, as one file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from artifacts.sources import PROJECT, pack, program_sources

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


def node_artifact(root: Path = PROJECT) -> NodeArtifact:
    """The artifact made of the sources below `root`."""
    content = pack({**program_sources("node", root), "__main__.py": _MAIN.encode()})
    return NodeArtifact(content=content, sha256=hashlib.sha256(content).hexdigest())
