"""The roles function of RDS as one file for Lambda, made of our source and of what is installed beside us.

Nothing is downloaded and nothing is built, so a preview makes the same file as the deployment: all of it
is Python that runs on every interpreter and processor.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePosixPath

from artifacts.sources import PROJECT, pack, program_sources

HANDLER = "functions.roles.handler.handle"
SERVER_CA_FILE = "server-ca.pem"
# boto3 comes with Lambda's runtime.
DISTRIBUTIONS = ("pg8000", "scramp", "asn1crypto", "python-dateutil", "six")

_COMPILED_FOR_A_MACHINE = (".so", ".pyd", ".dylib", ".dll")
_LEFT_BY_INSTALLERS = (".pyc", ".pyo")


class ArtifactError(Exception):
    """The artifact cannot be made from what is installed; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class FunctionArtifact:
    """A zip file for Lambda.

    Attributes:
        content: The file.
        sha256: Its SHA-256, in hexadecimal.
    """

    content: bytes = field(repr=False)
    sha256: str

    @property
    def source_code_hash(self) -> str:
        """The SHA-256 as Lambda gives it."""
        return base64.b64encode(bytes.fromhex(self.sha256)).decode()


def function_artifact(
    server_ca_pem: str,
    root: Path = PROJECT,
    distributions: Sequence[str] = DISTRIBUTIONS,
    find: Callable[[str], metadata.Distribution] = metadata.distribution,
) -> FunctionArtifact:
    """The artifact made of the packages `functions`, `postgres` and `runtime` below `root`, with a driver.

    Args:
        server_ca_pem: What the function trusts for its server; a file of the artifact, since only the
            deployer writes that, and the function's environment is too small for it.
        root: Folder of the packages.
        distributions: Names of the distributions that are packed with them.
        find: Finds an installed distribution.

    Raises:
        ArtifactError: a distribution is not installed, or not pure Python.
    """
    files = program_sources("roles function", root)
    files[SERVER_CA_FILE] = server_ca_pem.encode()
    for name in distributions:
        files.update(_distribution_files(name, find))
    content = pack(files)
    return FunctionArtifact(content=content, sha256=hashlib.sha256(content).hexdigest())


def _distribution_files(
    name: str, find: Callable[[str], metadata.Distribution]
) -> Iterator[tuple[str, bytes]]:
    try:
        distribution = find(name)
    except metadata.PackageNotFoundError:
        raise ArtifactError(
            f"{name} is not installed, and the roles function needs it; install requirements.txt"
        ) from None
    if distribution.files is None:
        raise ArtifactError(f"{name} is installed without a list of its files; install requirements.txt anew")
    for file in distribution.files:
        if _is_left_out(file):
            continue
        if file.name.endswith(_COMPILED_FOR_A_MACHINE):
            raise ArtifactError(
                f"{name} {distribution.version} holds {file}, which is compiled for this machine and not for "
                "Lambda's; install the version of requirements.txt"
            )
        try:
            yield file.as_posix(), Path(str(distribution.locate_file(file))).read_bytes()
        except FileNotFoundError:
            raise ArtifactError(f"{name} lacks its file {file}; install requirements.txt anew") from None
    # Packages read their own version; the rest of the metadata differs between installers.
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {distribution.version}\n"
    folder = f"{name.replace('-', '_')}-{distribution.version}.dist-info"
    yield f"{folder}/METADATA", text.encode()


def _is_left_out(file: PurePosixPath) -> bool:
    """Scripts outside of the packages, what an installer notes, and what an interpreter has compiled."""
    top = file.parts[0]
    return (
        top == ".."
        or file.is_absolute()
        or top.endswith((".dist-info", ".data"))
        or "__pycache__" in file.parts
        or file.suffix in _LEFT_BY_INSTALLERS
    )
