"""What cloud-init does at an instance's first boot, as far as the sandbox needs it: `write_files`."""

from __future__ import annotations

import base64
import binascii
import gzip
import os
import shutil
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_HEADER = b"#cloud-config"


class UserDataError(ValueError):
    """User-data that cloud-init cannot read; the message says where and why."""


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """One entry of `write_files`.

    Attributes:
        mode: Permission bits.
        owner: `user` or `user:group`, or None for root.
        append: Whether it is added to what is there.
    """

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: str | None = None
    append: bool = False


def written_files(user_data: bytes) -> list[WrittenFile]:
    """The files that a cloud-config writes; none where user-data is something else.

    Raises:
        UserDataError: It cannot be read.
    """
    if user_data[:2] == b"\x1f\x8b":
        try:
            user_data = gzip.decompress(user_data)
        except (OSError, EOFError, zlib.error) as error:
            raise UserDataError(f"user-data begins like gzip but is not: {error}") from error
    if not user_data.startswith(_HEADER):
        return []
    try:
        document = yaml.safe_load(user_data)
    except yaml.YAMLError as error:
        raise UserDataError(f"user-data is not YAML: {error}") from error
    entries = document.get("write_files") or [] if isinstance(document, dict) else []
    return [_file(number, entry) for number, entry in enumerate(entries)]


def _file(number: int, entry: Any) -> WrittenFile:
    where = f"user-data, write_files[{number}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise UserDataError(f"{where}: has no path")
    path = entry["path"]
    if not path.startswith("/") or ".." in Path(path).parts:
        raise UserDataError(f"{where}: path {path!r} must be absolute and without '..'")
    raw = entry.get("content") or ""
    content = raw if isinstance(raw, bytes) else str(raw).encode()
    encoding = str(entry.get("encoding") or "text/plain").lower()
    try:
        if "b64" in encoding or "base64" in encoding:
            content = base64.b64decode(content, validate=True)
        if encoding.startswith(("gz", "gzip")):
            content = gzip.decompress(content)
        mode = int(str(entry.get("permissions") or "0644"), 8)
    except (binascii.Error, OSError, EOFError, ValueError) as error:
        raise UserDataError(f"{where}: {path}: {error}") from error
    return WrittenFile(
        path=path, content=content, mode=mode, owner=entry.get("owner"), append=bool(entry.get("append"))
    )


def lay_down(files: list[WrittenFile], root: Path) -> None:
    """Writes files below `root`. Owners are set only by root, and only users that this machine has.

    Raises:
        UserDataError: This machine has no such user or group.
    """
    for file in files:
        target = root / file.path.lstrip("/")
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(
            target, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if file.append else os.O_TRUNC), 0o600
        )
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.content)
        target.chmod(file.mode)
        if file.owner and os.geteuid() == 0:
            user, _, group = file.owner.partition(":")
            try:
                shutil.chown(target, user, group or None)
            except LookupError as error:
                raise UserDataError(f"user-data: {file.path}: owner {file.owner}: {error}") from error
