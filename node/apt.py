"""PostgreSQL's packages on Debian 13: its own 17, and 15, 16 and 18 from the PostgreSQL project."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from node import package_lock
from node.commands import Commands
from node.layout import Layout
from runtime import files
from runtime.errors import FailedError

NATIVE_MAJOR = 17
PROJECT_ARCHIVE = "https://apt.postgresql.org/pub/repos/apt"
PROJECT_SUITE = "trixie-pgdg"
# The PostgreSQL project's archive key, B97B 0AFC AA1A 47F0 44F2 44A0 7FCC 7D46 ACCC 4CF8, which
# https://www.postgresql.org/download/linux/debian/ names and Debian ships in postgresql-common. It is part
# of node, so that no machine has to fetch or check it; its SHA-256 self-signature has no expiry.
PROJECT_KEY = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mQINBE6XR8IBEACVdDKT2HEH1IyHzXkb4nIWAY7echjRxo7MTcj4vbXAyBKOfjja
UrBEJWHN6fjKJXOYWXHLIYg0hOGeW9qcSiaa1/rYIbOzjfGfhE4x0Y+NJHS1db0V
G6GUj3qXaeyqIJGS2z7m0Thy4Lgr/LpZlZ78Nf1fliSzBlMo1sV7PpP/7zUO+aA4
bKa8Rio3weMXQOZgclzgeSdqtwKnyKTQdXY5MkH1QXyFIk1nTfWwyqpJjHlgtwMi
c2cxjqG5nnV9rIYlTTjYG6RBglq0SmzF/raBnF4Lwjxq4qRqvRllBXdFu5+2pMfC
IZ10HPRdqDCTN60DUix+BTzBUT30NzaLhZbOMT5RvQtvTVgWpeIn20i2NrPWNCUh
hj490dKDLpK/v+A5/i8zPvN4c6MkDHi1FZfaoz3863dylUBR3Ip26oM0hHXf4/2U
A/oA4pCl2W0hc4aNtozjKHkVjRx5Q8/hVYu+39csFWxo6YSB/KgIEw+0W8DiTII3
RQj/OlD68ZDmGLyQPiJvaEtY9fDrcSpI0Esm0i4sjkNbuuh0Cvwwwqo5EF1zfkVj
Tqz2REYQGMJGc5LUbIpk5sMHo1HWV038TWxlDRwtOdzw08zQA6BeWe9FOokRPeR2
AqhyaJJwOZJodKZ76S+LDwFkTLzEKnYPCzkoRwLrEdNt1M7wQBThnC5z6wARAQAB
tBxQb3N0Z3JlU1FMIERlYmlhbiBSZXBvc2l0b3J5iQJOBBMBCAA4AhsDBQsJCAcD
BRUKCQgLBRYCAwEAAh4BAheAFiEEuXsK/KoaR/BE8kSgf8x9RqzMTPgFAlhtCD8A
CgkQf8x9RqzMTPgECxAAk8uL+dwveTv6eH21tIHcltt8U3Ofajdo+D/ayO53LiYO
xi27kdHD0zvFMUWXLGxQtWyeqqDRvDagfWglHucIcaLxoxNwL8+e+9hVFIEskQAY
kVToBCKMXTQDLarz8/J030Pmcv3ihbwB+jhnykMuyyNmht4kq0CNgnlcMCdVz0d3
z/09puryIHJrD+A8y3TD4RM74snQuwc9u5bsckvRtRJKbP3GX5JaFZAqUyZNRJRJ
Tn2OQRBhCpxhlZ2afkAPFIq2aVnEt/Ie6tmeRCzsW3lOxEH2K7MQSfSu/kRz7ELf
Cz3NJHj7rMzC+76Rhsas60t9CjmvMuGONEpctijDWONLCuch3Pdj6XpC+MVxpgBy
2VUdkunb48YhXNW0jgFGM/BFRj+dMQOUbY8PjJjsmVV0joDruWATQG/M4C7O8iU0
B7o6yVv4m8LDEN9CiR6r7H17m4xZseT3f+0QpMe7iQjz6XxTUFRQxXqzmNnloA1T
7VjwPqIIzkj/u0V8nICG/ktLzp1OsCFatWXh7LbU+hwYl6gsFH/mFDqVxJ3+DKQi
vyf1NatzEwl62foVjGUSpvh3ymtmtUQ4JUkNDsXiRBWczaiGSuzD9Qi0ONdkAX3b
ewqmN4TfE+XIpCPxxHXwGq9Rv1IFjOdCX0iG436GHyTLC1tTUIKF5xV4Y0+cXIM=
=oiB/
-----END PGP PUBLIC KEY BLOCK-----
"""
OWN_PACKAGES = {
    "boto3": "python3-boto3",
    "pydantic": "python3-pydantic",
    "cryptography": "python3-cryptography",
}
"""What node itself imports, and the package that has it."""
_SOURCE = "etc/apt/sources.list.d/passwordless-postgres.sources"
_WAIT_FOR_OTHERS = ("-o", "DPkg::Lock::Timeout=300")
_KEEP_CONFIGURATION = "--force-confold"  # dpkg would ask, and nobody answers


@dataclass(frozen=True, kw_only=True)
class Apt:
    """Installs the server of one major."""

    layout: Layout
    commands: Commands

    def install(self, major: int, minor_floor: int, packages: Sequence[str] = ()) -> None:
        """Install `postgresql-<major>` at that minor or a later one, and `packages`, where they are missing.

        A package that is not wanted any more stays, since databases may still use it. An upgrade restarts the
        server, so raising the floor asks for a restart. What a loss of power or a kill left half installed is
        repaired first.

        Raises:
            FailedError: apt fails, or the archive's newest minor is too old.
        """
        package = f"postgresql-{major}"
        minor = self.installed_minor(major)
        missing = [name for name in packages if self._installed_version(name) is None]
        if minor is not None and minor >= minor_floor and not missing:
            return
        self._keep_package_from_making_a_cluster()
        # Before apt reads its sources: what an earlier run wrote there may be what is wrong.
        if major == NATIVE_MAJOR:
            files.remove_file(self.layout.root / _SOURCE)
        else:
            self._add_project_archive(major)
        self._update()
        candidate = self._candidate(package)
        if candidate is None:
            raise FailedError(f"major: no archive of this machine's apt has {package}")
        if _minor(candidate, major) < minor_floor:
            raise FailedError(
                f"minorFloor: {package} {candidate} is the newest that apt offers, "
                f"below {major}.{minor_floor}; lower the floor or wait for the archive"
            )
        if lacking := [name for name in missing if self._candidate(name) is None]:
            raise FailedError(
                f"extensions: no archive of this machine's apt has {', '.join(lacking)}; remove the "
                "extension, or wait for the archive"
            )
        self._get(*([package] if minor is None or minor < minor_floor else []), *missing)
        minor = self.installed_minor(major)
        if minor is None or minor < minor_floor:
            raise FailedError(f"minorFloor: apt left {package} below {major}.{minor_floor}")

    def installed_minor(self, major: int) -> int | None:
        """Minor release of the installed package, None without one."""
        version = self._installed_version(f"postgresql-{major}")
        return None if version is None else _minor(version, major)

    def install_own(self) -> None:
        """Install what node imports, where a package is missing or was left half installed.

        Raises:
            FailedError: apt fails.
        """
        missing = [name for name in OWN_PACKAGES.values() if self._installed_version(name) is None]
        if missing:
            self._update()
            self._get(*missing)

    def _installed_version(self, package: str) -> str | None:
        shown = ("--show", "--showformat=${db:Status-Abbrev}${Version}")
        answer = self.commands("dpkg-query", *shown, package, accept=(0, 1))
        if answer.returncode != 0 or not answer.stdout.startswith("ii "):
            return None
        return answer.stdout.removeprefix("ii ").strip()

    def finish(self) -> None:
        """Finish what a loss of power or a kill interrupted.

        Raises:
            FailedError: dpkg does not end, or cannot work.
        """
        # What lacks a package that was not unpacked yet (status 1) is left to apt.
        self._run("dpkg", _KEEP_CONFIGURATION, "--configure", "-a", accept=(0, 1))

    def _update(self) -> None:
        self.finish()
        # By default an archive that cannot be reached is a warning.
        self._run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")

    def _get(self, *packages: str) -> None:
        options = ("--yes", "--no-install-recommends", "--fix-broken", *_WAIT_FOR_OTHERS)
        keep = ("-o", f"Dpkg::Options::={_KEEP_CONFIGURATION}")
        self._run("apt-get", "install", *options, *keep, *packages)

    def _run(self, *command: str, accept: Sequence[int] = (0,)) -> None:
        package_lock.wait(self.layout.root)
        self.commands(*command, accept=accept)

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
        self._write("etc/apt/keyrings/passwordless-postgres.asc", PROJECT_KEY)
        self._write(
            _SOURCE,
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


def _minor(version: str, major: int) -> int:
    found = re.match(rf"(?:\d+:)?{major}\.(\d+)", version)
    if found is None:
        raise FailedError(f"postgresql-{major} has version {version!r}, which is not a release of {major}")
    return int(found[1])
