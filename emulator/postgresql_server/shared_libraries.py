"""The shared libraries of the machine that PostgreSQL's programs need, as the loader resolves them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from engine.errors import CommandError

PROGRAMS = ("postgres", "initdb", "psql")

# By file name, since the number in it is part of the name that the loader looks for.
PACKAGES = {
    "libxml2.so.2": "libxml2",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libkrb5.so.3": "libkrb5-3",
    "libk5crypto.so.3": "libk5crypto3",
    "libcom_err.so.2": "libcom-err2",
    "liblz4.so.1": "liblz4-1",
    "libzstd.so.1": "libzstd1",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "libreadline.so.8": "libreadline8",
    "libicui18n.so.72": "libicu72",
    "libicuuc.so.72": "libicu72",
    "libicudata.so.72": "libicu72",
    "libz.so.1": "zlib1g",
    "liblzma.so.5": "liblzma5",
    "libuuid.so.1": "libuuid1",
    "libldap-2.5.so.0": "libldap-2.5-0",
    "libldap.so.2": "libldap2",
    "libpam.so.0": "libpam0g",
    "libsystemd.so.0": "libsystemd0",
    "libxslt.so.1": "libxslt1.1",
    "libtinfo.so.6": "libtinfo6",
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libnuma.so.1": "libnuma1",
    "liburing.so.2": "liburing2",
}


class MissingLibraryError(CommandError):
    """PostgreSQL's programs cannot start on this machine; the text names libraries and packages."""


def missing_in(loader_output: str) -> list[str]:
    """The libraries that `ldd` says are not found, and symbol versions that are too new."""
    names = re.findall(r"^\s*(\S+) => not found", loader_output, re.MULTILINE)
    versions = re.findall(r"version `([^']+)' not found", loader_output)
    return list(dict.fromkeys([*names, *versions]))


def _ask_loader(program: Path) -> str:
    try:
        answer = subprocess.run(
            ["ldd", str(program)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise MissingLibraryError("There is no `ldd` on PATH; it comes with package libc-bin.") from error
    if "not a dynamic executable" in answer.stderr + answer.stdout:
        raise MissingLibraryError(
            f"{program} does not run on this machine: {(answer.stderr or answer.stdout).strip()}. "
            "The programs need glibc >= 2.17 and the processor they were built for."
        )
    return answer.stdout + answer.stderr


def explain(missing: Iterable[str], folder: Path) -> str:
    """One message for all missing libraries, with the line that installs them."""
    names = list(dict.fromkeys(missing))
    lines = "".join(f"  - {name}: package {PACKAGES.get(name, 'unknown')}\n" for name in names)
    packages = sorted({PACKAGES[name] for name in names if name in PACKAGES})
    advice = f"On Debian 12: apt-get install {' '.join(packages)}\n" if packages else ""
    return (
        f"PostgreSQL's programs in {folder} lack shared libraries of this machine:\n{lines}{advice}"
        "On other systems install the packages with these files; names there may differ."
    )


def check(folder: Path) -> None:
    """Check that every program in `folder` finds its libraries.

    Raises:
        MissingLibraryError: some do not; all are named at once.
    """
    missing = [name for program in PROGRAMS for name in missing_in(_ask_loader(folder / program))]
    if missing:
        raise MissingLibraryError(explain(missing, folder))
