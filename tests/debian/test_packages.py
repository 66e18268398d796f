"""node's installation of PostgreSQL by the real apt and dpkg of Debian 13, in folders with a whole Debian.

`make test-debian` runs it: it needs root, debootstrap, gpg and Debian's archive, and takes minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.project import CHECKOUT
from node.apt import NATIVE_MAJOR, PROJECT_KEY
from postgres.declaration import Database, Declaration
from postgres.extensions import EXTENSIONS, implied_settings, packages
from postgres.roles import statements

pytestmark = pytest.mark.debian

SUITE = "trixie"
PACKAGE = f"postgresql-{NATIVE_MAJOR}"
NODE = ("node", "postgres", "runtime", "documents")
TOOLS = ("debootstrap", "gpg", "unshare")
SECONDS = 600
# Everything ends with its first process, and what is mounted goes with it, however that happens.
NAMESPACE = ("unshare", "--mount", "--pid", "--fork")
ENTER = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "PYTHONPATH": "/srv",
    "PYTHONDONTWRITEBYTECODE": "1",
}
INSTALL = """
import json, sys
from pathlib import Path
from node import apt, commands
from node.layout import Layout
from runtime.errors import FailedError
said = json.loads(sys.argv[1])
apt.PROJECT_ARCHIVE, apt.PROJECT_KEY = said["archive"], said["key"]
installing = apt.Apt(layout=Layout(Path("/")), commands=commands.run)
try:
    installing.install(said["major"], said["floor"], said["packages"])
except FailedError as error:
    sys.exit(f"FailedError: {error}")
print(installing.installed_minor(said["major"]))
"""


@dataclass(frozen=True)
class Debian:
    """A Debian in a folder; nothing in it is started by its packages."""

    root: Path

    def begin(self, *command: str) -> subprocess.Popen[str]:
        """A program in it, and all that it starts."""
        return subprocess.Popen(
            [*NAMESPACE, "sh", "-c", ENTER, str(self.root), *command],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> tuple[int, str]:
        """Exit status and output of a program."""
        process = self.begin(*command)
        output, _ = process.communicate()
        return process.returncode, output

    def lose_power(self, process: subprocess.Popen[str]) -> None:
        """End a program and all that it started at once."""
        (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGKILL)
        process.communicate()

    def must(self, *command: str) -> str:
        status, output = self.run(*command)
        assert status == 0, f"{command}: {output}"
        return output

    def install(
        self,
        major: int,
        floor: int = 0,
        packages: Sequence[str] = (),
        *,
        archive: str = "http://127.0.0.1:9",
        key: str = PROJECT_KEY,
    ) -> tuple[int, str]:
        """What node makes of it; the minor that is installed then."""
        said = {"major": major, "floor": floor, "packages": packages, "archive": archive, "key": key}
        return self.run("python3", "-c", INSTALL, json.dumps(said))

    def status(self, package: str) -> str:
        """What dpkg has written down about a package, as it would be after a loss of power."""
        database = self.root / "var/lib/dpkg"
        found = ""
        for path in (database / "status", *sorted(database.glob("updates/[0-9]*"))):
            # dpkg moves what is in the latter into the former, and removes them.
            with suppress(FileNotFoundError):
                stated = re.findall(rf"^Package: {package}\nStatus: (.*)$", path.read_text(), re.MULTILINE)
                found = stated[-1] if stated else found
        return found


@pytest.fixture(scope="session")
def fresh() -> Iterator[Debian]:
    """Debian with Python, and with the packages that PostgreSQL needs at hand."""
    if os.geteuid() != 0:
        pytest.fail("root is needed, to enter a Debian in a folder: sudo make test-debian")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.fail(f"install {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="debian-") as folder:
        made = Debian(Path(folder) / "fresh")
        options = ("--variant=minbase", "--include=python3,ca-certificates")
        answer = subprocess.run(
            ["debootstrap", *options, SUITE, str(made.root)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if answer.returncode != 0:
            pytest.fail(f"debootstrap: {answer.stdout[-2000:]}{answer.stderr[-2000:]}")
        policy = made.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        for package in NODE:
            shutil.copytree(CHECKOUT / package, made.root / "srv" / package)
        made.must("apt-get", "update")
        made.must("apt-get", "install", "--yes", "--no-install-recommends", "--download-only", PACKAGE)
        yield made


@pytest.fixture
def debian(fresh: Debian) -> Iterator[Debian]:
    """One of its own for each test."""
    with tempfile.TemporaryDirectory(prefix="copy-", dir=fresh.root.parent) as folder:
        copy = Path(folder) / "root"
        subprocess.run(["cp", "--archive", "--reflink=auto", fresh.root, copy], check=True)
        yield Debian(copy)


def is_whole(debian: Debian) -> None:
    assert debian.must("dpkg", "--audit") == ""
    assert debian.must("pg_lsclusters", "--no-header") == ""
    assert debian.status(PACKAGE) == "install ok installed"


def test_the_native_major_is_installed_without_a_cluster(debian: Debian) -> None:
    status, output = debian.install(NATIVE_MAJOR, 1)
    assert status == 0, output
    is_whole(debian)


def test_every_extension_of_the_table_can_be_created(debian: Debian) -> None:
    """Installed as node installs it, preloaded as it is declared, with the statements of a declaration."""
    names = tuple(each.name for each in EXTENSIONS.values() if "server" in each.platforms)
    status, output = debian.install(NATIVE_MAJOR, 1)
    assert status == 0, output
    status, output = debian.install(NATIVE_MAJOR, 1, packages(NATIVE_MAJOR, names, ()))
    assert status == 0, output
    is_whole(debian)
    programs = f"/usr/lib/postgresql/{NATIVE_MAJOR}/bin"
    options = {**implied_settings({"app": names}, {}, "server"), "unix_socket_directories": "/tmp"}
    settings = "".join(f"{name} = '{value}'\n" for name, value in options.items())
    declared = Declaration(administrator="pgpl_admin", databases=(Database(name="app", extensions=names),))
    steps = [step for step in statements(declared, None, NATIVE_MAJOR) if "EXTENSION" in step.sql]
    done = [f"SELECT count(*) FROM ({step.check.query}) q;" for step in steps if step.check]  # noqa: S608
    (debian.root / "tmp/settings").write_text(settings)
    (debian.root / "tmp/create.sql").write_text("".join(f"{step.sql};\n" for step in steps))
    (debian.root / "tmp/shown.sql").write_text("SELECT name FROM pg_settings")
    (debian.root / "tmp/done.sql").write_text("\n".join(done))
    psql = "psql -XAtq -v ON_ERROR_STOP=1 -h /tmp -d app -f"
    said = debian.must(
        *("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "sh", "-ec"),
        f"cd /tmp; {programs}/initdb -D data -A trust >/dev/null; cat settings >>data/postgresql.conf; "
        f"{programs}/pg_ctl -D data -l log -w start >/dev/null || {{ cat log; exit 1; }}; "
        f"createdb -h /tmp app; {psql} create.sql; {psql} done.sql; "
        "psql -XAtq -h /tmp -d app -f shown.sql; "
        f"{programs}/pg_ctl -D data -m immediate stop >/dev/null",
    ).splitlines()
    assert said[: len(steps)] == ["1"] * len(steps)
    assert {each.shown_by for each in EXTENSIONS.values() if each.preload} <= set(said)


@pytest.mark.parametrize(
    ("package", "state"),
    [
        ("libpq5", "install ok unpacked"),
        (PACKAGE, "install reinstreq half-installed"),
        ("postgresql-common", "install ok half-configured"),
        (PACKAGE, "install ok unpacked"),
    ],
)
def test_an_installation_that_is_cut_off_anywhere_is_finished(
    package: str, state: str, debian: Debian
) -> None:
    cut_off = debian.begin("apt-get", "install", "--yes", "--no-install-recommends", PACKAGE)
    while debian.status(package) != state:
        assert cut_off.poll() is None, "it was faster than this test"
        time.sleep(0.001)
    debian.lose_power(cut_off)
    status, output = debian.run("apt-get", "install", "--yes", PACKAGE)
    assert status != 0, "nothing was cut off"
    assert "dpkg --configure -a" in output
    status, output = debian.install(NATIVE_MAJOR, 1)
    assert status == 0, output
    is_whole(debian)


def test_an_archive_out_of_reach_is_named_and_blocks_nothing_else(debian: Debian) -> None:
    status, output = debian.install(18)
    assert status != 0
    assert "Failed to fetch http://127.0.0.1:9/dists/trixie-pgdg/InRelease" in output
    assert "lower the floor" not in output
    status, output = debian.install(NATIVE_MAJOR, 1)
    assert status == 0, output


class StandIn:
    """The PostgreSQL project's archive, with one empty package, signed by a key of its own."""

    def __init__(self, debian: Debian, home: Path) -> None:
        self.folder = debian.root / "srv/archive"
        self.url = "file:/srv/archive"
        self._home = home
        self._gpg("--quick-generate-key", "--passphrase", "", "test@example.org", "ed25519", "sign", "never")
        self.key = self._gpg("--armor", "--export").stdout
        index = self.folder / "dists/trixie-pgdg/main/binary-all"
        index.mkdir(parents=True)
        control = self.folder / "package/DEBIAN/control"
        control.parent.mkdir(parents=True)
        fields = (
            "Package: postgresql-18\nVersion: 18.4-1.pgdg13+1\nArchitecture: all\n"
            "Maintainer: nobody <nobody@example.org>\nDescription: stand-in\n"
        )
        control.write_text(fields)
        debian.must("dpkg-deb", "--build", "/srv/archive/package", "/srv/archive/postgresql-18.deb")
        package = (self.folder / "postgresql-18.deb").read_bytes()
        packages = (
            f"{fields}Filename: postgresql-18.deb\nSize: {len(package)}\n"
            f"SHA256: {hashlib.sha256(package).hexdigest()}\n"
        ).encode()
        (index / "Packages").write_bytes(packages)
        release = self.folder / "dists/trixie-pgdg/Release"
        release.write_text(
            "Origin: apt.postgresql.org\nSuite: trixie-pgdg\nCodename: trixie-pgdg\nArchitectures: all\n"
            f"Components: main\nDate: {time.strftime('%a, %d %b %Y %H:%M:%S UTC', time.gmtime())}\nSHA256:\n"
            f" {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-all/Packages\n"
        )
        self._gpg("--clearsign", "--output", str(release.with_name("InRelease")), str(release))

    def _gpg(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["gpg", "--batch", "--quiet", "--homedir", self._home, *arguments],
            capture_output=True,
            text=True,
            check=True,
        )


@pytest.fixture
def stand_in(debian: Debian) -> Iterator[Any]:
    # The path of gpg's socket is bounded.
    with tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp") as home:
        yield StandIn(debian, Path(home))
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def test_another_key_is_refused_and_the_right_one_is_taken_afterwards(
    debian: Debian, stand_in: StandIn
) -> None:
    status, output = debian.install(18, 4, archive=stand_in.url)
    assert status != 0
    assert "file:/srv/archive trixie-pgdg InRelease" in output
    assert debian.status("postgresql-18") == ""
    status, output = debian.install(18, 99, archive=stand_in.url, key=stand_in.key)
    assert "18.4-1.pgdg13+1 is the newest that apt offers, below 18.99" in output
    status, output = debian.install(18, 4, archive=stand_in.url, key=stand_in.key)
    assert (status, output.strip()) == (0, "4")
