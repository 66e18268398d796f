"""Generations of the configuration: one complete folder each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from node.layout import Layout
from node.server_user import ServerUser
from runtime import files

KEPT = 3
"""How many generations are kept: the current one and the ones before it, for inspection."""


def name_of(serial: int, manifest_sha256: str) -> str:
    """`<serial>-<first 8 digits of the manifest's SHA-256>`."""
    return f"{serial}-{manifest_sha256[:8]}"


def write(layout: Layout, name: str, contents: Mapping[str, bytes], user: ServerUser) -> Path:
    """Write a generation, readable for the server's user alone, and return its folder.

    An existing folder of that name with the same contents is kept, since the server may be reading it.
    One with other contents is replaced: a crash left it, or its files were changed by hand.
    """
    layout.make_home()
    folder = layout.generations / name
    if _holds(folder, contents):
        return folder
    beside = layout.generations / f".{name}.new"
    if beside.exists():
        shutil.rmtree(beside)
    user.make_directory(beside)
    for file, data in contents.items():
        files.replace_file(beside / file, data, owner=user.owner)
    files.sync_directory(beside)
    aside = layout.generations / f".{name}.old"
    if aside.exists():
        shutil.rmtree(aside)
    if folder.exists():
        folder.rename(aside)
    beside.rename(folder)
    if aside.exists():
        shutil.rmtree(aside)
    files.sync_directory(layout.generations)
    return folder


def prune(layout: Layout, keep: str) -> None:
    """Remove all but the newest generations; `keep` is never removed."""
    folders = [path for path in layout.generations.iterdir() if path.name != keep]
    newest = sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest[KEPT - 1 :]:
        shutil.rmtree(path)


def _holds(folder: Path, contents: Mapping[str, bytes]) -> bool:
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != set(contents):
        return False
    return all((folder / file).read_bytes() == data for file, data in contents.items())
