"""What the programs that the emulator starts have in common: what they inherit, their logs and folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ", "SSL_CERT_FILE")


def inherited_environment() -> dict[str, str]:
    """The variables of this process that say nothing of AWS, proxies or Python."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def open_log(path: Path, most_bytes: int = 5_000_000) -> BinaryIO:
    """A log to add to, readable by its owner only; one that has grown too large is put aside first."""
    if path.exists() and path.stat().st_size > most_bytes:
        path.rename(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def make_enterable(folder: Path) -> None:
    """Makes a folder that the programs' user may pass through, but whose names it cannot read."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.chmod(0o711)
