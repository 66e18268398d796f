"""The zip files of programs, unpacked whole or not at all."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path


def unpack(content: bytes, target: Path) -> None:
    """Unpacks a zip file into a new folder, which everybody may read and nobody but its owner may change.

    Raises:
        zipfile.BadZipFile: The content is none.
    """
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        files.extractall(partial)
    for path in (partial, *partial.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    partial.rename(target)
