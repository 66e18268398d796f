"""PostgreSQL's packages on Debian 13: its own 17, and 15, 16 and 18 from the PostgreSQL project."""

from __future__ import annotations

import re
from dataclasses import dataclass

from node import openpgp
from node.commands import Commands
from node.layout import Layout
from runtime import files
from runtime.errors import FailedError

NATIVE_MAJOR = 17
PROJECT_ARCHIVE = "https://apt.postgresql.org/pub/repos/apt"
PROJECT_SUITE = "trixie-pgdg"
# https://www.postgresql.org/download/linux/debian/ names this key; Debian ships it in postgresql-common.
PROJECT_KEY = "B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8"
_WAIT_FOR_OTHERS = ("-o", "DPkg::Lock::Timeout=300")


@dataclass(frozen=True, kw_only=True)
class Apt:
    """Installs the server of one major."""

    layout: Layout
    commands: Commands

    def install(self, major: int, minor_floor: int) -> None:
        """Have `postgresql-<major>` at that minor or a later one; does nothing if it is there.

        An upgrade by the package restarts the server: raising the floor is asking for that.

        Raises:
            FailedError: apt fails, the archive's key is not the pinned one, or its newest minor is too old.
        """
        package = f"postgresql-{major}"
        minor = self.installed_minor(major)
        if minor is not None and minor >= minor_floor:
            return
        self._keep_package_from_making_a_cluster()
        self._apt_get("update")
        if major != NATIVE_MAJOR:
            self._add_project_archive(major)
        candidate = self._candidate(package)
        if candidate is None or _minor(candidate, major) < minor_floor:
            raise FailedError(
                f"minorFloor: {package} {candidate or '(none)'} is the newest that apt offers, "
                f"below {major}.{minor_floor}; lower the floor or wait for the archive"
            )
        self._apt_get(
            "install", "--yes", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", package
        )
        minor = self.installed_minor(major)
        if minor is None or minor < minor_floor:
            raise FailedError(f"minorFloor: apt left {package} below {major}.{minor_floor}")

    def installed_minor(self, major: int) -> int | None:
        """Minor release of the installed package, None without one."""
        answer = self.commands(
            "dpkg-query",
            "--show",
            "--showformat=${db:Status-Abbrev}${Version}",
            f"postgresql-{major}",
            accept=(0, 1),
        )
        if answer.returncode != 0 or not answer.stdout.startswith("ii "):
            return None
        return _minor(answer.stdout.removeprefix("ii ").strip(), major)

    def _apt_get(self, *arguments: str) -> None:
        self.commands("apt-get", *_WAIT_FOR_OTHERS, *arguments)

    def _candidate(self, package: str) -> str | None:
        policy = self.commands("apt-cache", "policy", package).stdout
        found = re.search(r"^ +Candidate: (\S+)$", policy, re.MULTILINE)
        return None if found is None or found[1] == "(none)" else found[1]

    def _write(self, name: str, text: str) -> None:
        path = self.layout.root / name
        files.make_directory(path.parent, 0o755)
        files.replace_file(path, text, 0o644, durable=True)

    def _keep_package_from_making_a_cluster(self) -> None:
        self._write(
            "etc/postgresql-common/createcluster.d/passwordless-postgres.conf",
            "create_main_cluster = false\n",
        )

    def _add_project_archive(self, major: int) -> None:
        self._apt_get("install", "--yes", "--no-install-recommends", "postgresql-common")
        key = self.layout.root / "usr/share/postgresql-common/pgdg/apt.postgresql.org.asc"
        try:
            text = key.read_text()
            fingerprints = openpgp.primary_fingerprints(text)
        except (OSError, ValueError) as error:
            raise FailedError(f"{key}: {error}") from error
        if fingerprints != [PROJECT_KEY]:
            raise FailedError(f"{key} holds the keys {fingerprints}, not the pinned one, {PROJECT_KEY}")
        self._write("etc/apt/keyrings/passwordless-postgres.asc", text)
        self._write(
            "etc/apt/sources.list.d/passwordless-postgres.sources",
            "Types: deb\n"
            f"URIs: {PROJECT_ARCHIVE}\n"
            f"Suites: {PROJECT_SUITE}\n"
            "Components: main\n"
            f"Signed-By: {self.layout.root / 'etc/apt/keyrings/passwordless-postgres.asc'}\n",
        )
        wanted = (
            f"postgresql-{major} postgresql-client-{major} postgresql-common postgresql-client-common libpq5"
        )
        self._write(
            "etc/apt/preferences.d/passwordless-postgres",
            "Package: *\nPin: release o=apt.postgresql.org\nPin-Priority: 100\n\n"
            f"Package: {wanted}\nPin: release o=apt.postgresql.org\nPin-Priority: 500\n",
        )
        self._apt_get("update")


def _minor(version: str, major: int) -> int:
    found = re.match(rf"(?:\d+:)?{major}\.(\d+)", version)
    if found is None:
        raise FailedError(f"postgresql-{major} has version {version!r}, which is no release of {major}")
    return int(found[1])
