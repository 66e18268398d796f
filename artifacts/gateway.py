"""The gateway as one file per platform: our source, a user's application, and all dependencies.

The same input gives the same bytes, so the file is named by the SHA-256 of what it is made of and
made once.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from artifacts.dependencies import LOCK, Platform, cache_folder, dependency_files
from artifacts.sources import PROJECT, pack, program_sources

# botocore describes 400 services; an application of the user's own may want any of them.
_SERVICES = "botocore/data/"
_KEPT = 4  # artifacts per platform, so that changes of the source do not fill the cache
_USED_SECONDS = 24 * 3600  # a deployment from another checkout may still have to read what it was told of
_OUR_SERVICES = ("logs", "rds", "s3", "secretsmanager", "sso", "sso-oidc", "sts")


class ApplicationSourceError(Exception):
    """The folder with the user's application does not fit into the artifact; the text says why."""


@final
@dataclass(frozen=True, kw_only=True)
class GatewayArtifact:
    """A zip file with the layout of `site-packages`.

    Attributes:
        path: Where it lies.
        sha256: Its SHA-256, in hexadecimal.
    """

    path: Path
    sha256: str


def gateway_artifact(
    target: Platform, *, application_source: Path | None = None, cache: Path | None = None
) -> GatewayArtifact:
    """The artifact for a platform, made when it is not there yet.

    Args:
        target: Where it will run.
        application_source: Folder whose content is put beside our packages; None for our own application.
        cache: Where it is kept; the user's cache when None.

    Raises:
        ApplicationSourceError: the folder is missing, empty, or has a file that we have as well.
        DependenciesError: the dependencies cannot be had.
    """
    cache = cache or cache_folder()
    ours = program_sources("gateway")
    theirs = {} if application_source is None else application_files(application_source)
    key = _key(target, {**theirs, **ours}, LOCK.read_bytes())
    final_path, note = cache / f"gateway-{target}-{key}.zip", cache / f"gateway-{target}-{key}.sha256"
    if final_path.is_file() and note.is_file():
        os.utime(final_path)
        return GatewayArtifact(path=final_path, sha256=note.read_text(encoding="ascii").strip())
    files = dependency_files(target, cache)
    if application_source is None:
        files = {name: data for name, data in files.items() if not _is_of_another_service(name)}
    content = pack(_merged(files, ours, theirs, application_source))
    sha256 = hashlib.sha256(content).hexdigest()
    cache.mkdir(parents=True, exist_ok=True)
    _replace(note, sha256.encode())
    _replace(final_path, content)
    _forget_oldest(cache, target)
    return GatewayArtifact(path=final_path, sha256=sha256)


def application_files(folder: Path) -> dict[str, bytes]:
    """The files of a user's application by path; hidden ones and what an interpreter compiled stay out.

    Raises:
        ApplicationSourceError: the folder is missing or empty.
    """
    if not folder.is_dir():
        raise ApplicationSourceError(
            f"{folder} is not a folder; give the one that holds the application's packages"
        )
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {
        name.as_posix(): path.read_bytes()
        for name, path in found.items()
        if not any(part.startswith(".") or part == "__pycache__" for part in name.parts)
    }
    if not files:
        raise ApplicationSourceError(f"{folder} is empty; give the one that holds the application's packages")
    return files


def _merged(
    dependencies: Mapping[str, bytes],
    ours: Mapping[str, bytes],
    theirs: Mapping[str, bytes],
    application_source: Path | None,
) -> dict[str, bytes]:
    taken = {name.split("/")[0] for name in (*dependencies, *ours)}
    twice = sorted({name.split("/")[0] for name in theirs} & taken)
    if twice:
        raise ApplicationSourceError(
            f"{application_source} holds {', '.join(twice)}, and so does the gateway itself; rename it"
        )
    return {**dependencies, **ours, **theirs}


def _is_of_another_service(name: str) -> bool:
    if not name.startswith(_SERVICES):
        return False
    service, _, rest = name.removeprefix(_SERVICES).partition("/")
    return bool(rest) and service not in _OUR_SERVICES


def _key(target: Platform, sources: Mapping[str, bytes], lock: bytes) -> str:
    digest = hashlib.sha256(f"{target}\0{','.join(_OUR_SERVICES)}\0".encode())
    for name, data in sorted({**sources, "lock": lock}.items()):
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    # The way of packing is part of the key.
    for module in ("gateway.py", "dependencies.py", "sources.py"):
        digest.update((PROJECT / "artifacts" / module).read_bytes())
    return digest.hexdigest()[:16]


def _forget_oldest(cache: Path, target: Platform) -> None:
    artifacts = sorted(
        cache.glob(f"gateway-{target}-*.zip"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    used_since = time.time() - _USED_SECONDS
    for path in artifacts[_KEPT:]:
        if path.stat().st_mtime < used_since:
            path.unlink(missing_ok=True)
            path.with_suffix(".sha256").unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(partial).replace(path)
