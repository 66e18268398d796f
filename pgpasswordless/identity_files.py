"""The files of one role or client: authorities, certificate, key; replaced all together or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgpasswordless.connections import CertificateBundle
from pgpasswordless.directories import FOLDER
from pgpasswordless.errors import IdentityError
from pgpasswordless.identity import Identity

ROOT_CERTIFICATE = "root.crt"
CERTIFICATE = "client.crt"
KEY = "client.key"
KEY_DER = "client.pk8"
NAMES = (ROOT_CERTIFICATE, CERTIFICATE, KEY, KEY_DER)
# The files are links through `current` into one generation, so that certificate and key that a client
# reads belong together, even after a crash.
CURRENT = "current"
GENERATION_PREFIX = "generation-"


@dataclass(frozen=True, kw_only=True)
class IdentityFiles:
    """Paths of the files of one role or client.

    Attributes:
        root_certificate: authorities that the client trusts for the server, PEM.
        certificate: the role's chain, PEM, leaf first.
        key: PKCS#8 PEM, mode 0600.
        key_der: PKCS#8 DER for pgjdbc, mode 0600.
        not_after: end of the certificate's validity, UTC; None when unknown.
        serial_number: of the certificate; None when unknown.
    """

    root_certificate: Path
    certificate: Path
    key: Path
    key_der: Path
    not_after: datetime | None = None
    serial_number: int | None = None

    @property
    def valid_until(self) -> str | None:
        """The end of the certificate's validity, RFC 3339 UTC; None when unknown."""
        return f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}" if self.not_after else None

    @classmethod
    def in_directory(cls, directory: Path, identity: Identity | None = None) -> IdentityFiles:
        """The paths of the files of `identity` in `directory`, whether they exist or not."""
        return cls(
            root_certificate=directory / ROOT_CERTIFICATE,
            certificate=directory / CERTIFICATE,
            key=directory / KEY,
            key_der=directory / KEY_DER,
            not_after=identity.not_after if identity else None,
            serial_number=identity.serial_number if identity else None,
        )


def write(directory: Path, identity: Identity, trusted: CertificateBundle | None) -> IdentityFiles:
    """Write the files of one role or client into a private directory; unchanged files are left alone.

    Args:
        directory: absolute; made with mode 0700 where it does not exist.
        identity: certificate and key.
        trusted: the server's authorities; None where the machine trusts them anyway.

    Raises:
        IdentityError: the directory is not private to this user, or cannot be written.
    """
    contents = {
        CERTIFICATE: identity.certificate,
        KEY: identity.key_pem,
        KEY_DER: identity.key_der,
    }
    if trusted is not None:
        contents[ROOT_CERTIFICATE] = trusted.pem.encode()
    _store(directory, contents)
    return IdentityFiles.in_directory(directory, identity)


def write_trust(directory: Path, trusted: CertificateBundle) -> Path:
    """Write the authorities for a role that logs in without files of its own; returns the file's path.

    Raises:
        IdentityError: as `write`.
    """
    _store(directory, {ROOT_CERTIFICATE: trusted.pem.encode()})
    return directory / ROOT_CERTIFICATE


def _store(directory: Path, contents: dict[str, bytes]) -> None:
    try:
        _make_private(directory)
        with _locked(directory):
            if not _unchanged(directory, contents):
                _replace(directory, contents)
    except OSError as error:
        raise IdentityError(f"cannot store the identity in {directory}: {error.strerror}") from None


def _make_private(directory: Path) -> None:
    missing = []
    folder = directory
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    _require_private(directory, stat.S_IWGRP | stat.S_IWOTH)
    for parent in directory.parents:
        # A umask of 0002 makes folders group-writable, where each user has a group of their own.
        if FOLDER in parent.parts:
            _require_private(parent, stat.S_IWOTH)


def _require_private(path: Path, refused_mode: int) -> None:
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & refused_mode:
        raise IdentityError(
            f"{path} is owned by user id {status.st_uid} with mode {stat.S_IMODE(status.st_mode):04o}; keys"
            " are stored only in a directory that you own and that nobody else can write; correct it"
            f" (chmod 0700 {shlex.quote(str(path))}), or give another --directory"
        )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _unchanged(directory: Path, contents: dict[str, bytes]) -> bool:
    for name, content in contents.items():
        path = directory / name
        try:
            if path.read_bytes() != content or stat.S_IMODE(path.stat().st_mode) != 0o600:
                return False
        except OSError:
            return False
    return True


def _replace(directory: Path, contents: dict[str, bytes]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=".new-", dir=directory))
    try:
        for name, content in contents.items():
            descriptor = os.open(unfinished / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        digest = hashlib.sha256(b"\0".join(contents.values())).hexdigest()[:16]
        # The name has a random part: a damaged generation of the same content must not be taken for this one.
        generation = directory / f"{GENERATION_PREFIX}{digest}-{unfinished.name.removeprefix('.new-')}"
        unfinished.rename(generation)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    previous = _target(directory / CURRENT)
    _link(directory / CURRENT, generation.name)
    for name in NAMES:
        if name in contents:
            _link(directory / name, f"{CURRENT}/{name}")
        else:
            (directory / name).unlink(missing_ok=True)
    for old in directory.iterdir():
        # The previous one stays: a client may be between reading its certificate and its key.
        if old.name.startswith((GENERATION_PREFIX, ".new-")) and old.name not in {generation.name, previous}:
            shutil.rmtree(old, ignore_errors=True)


def _target(link: Path) -> str | None:
    return str(link.readlink()) if link.is_symlink() else None


def _link(path: Path, target: str) -> None:
    if _target(path) == target:
        return
    temporary = path.with_name(f".link-{path.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)
