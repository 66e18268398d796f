"""The paths of a machine, below one root folder."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from runtime import files

ROOT_VARIABLE = "PASSWORDLESS_POSTGRES_ROOT"
CLUSTER = "main"
_REPORT_SECONDS = 3600
_MAJOR = re.compile(r"[1-9][0-9]", re.ASCII)


@dataclass(frozen=True)
class Layout:
    """All paths of one machine. `root` is `/` on an instance, a folder in the sandbox and in tests."""

    root: Path

    @classmethod
    def from_environment(cls) -> Layout:
        """The layout below $PASSWORDLESS_POSTGRES_ROOT, by default `/`."""
        return cls(Path(os.environ.get(ROOT_VARIABLE, "/")))

    @property
    def machine(self) -> Path:
        """The Machine document."""
        return self.root / "etc/passwordless-postgres/machine.json"

    @property
    def platform(self) -> Path:
        """The description of a platform other than Debian."""
        return self.root / "etc/passwordless-postgres/platform.json"

    @property
    def home(self) -> Path:
        """What node keeps between runs."""
        return self.root / "var/lib/passwordless-postgres"

    @property
    def own_packages(self) -> Path:
        """The packages for node itself that are installed."""
        return self.home / "own-packages"

    @property
    def lock(self) -> Path:
        """Lock file, held by the run in progress."""
        return self.home / "lock"

    @property
    def state(self) -> Path:
        """What was applied, and the last attempt."""
        return self.home / "state.json"

    @property
    def report(self) -> Path:
        """The last report, whether the bucket has it or not."""
        return self.home / "report.json"

    @property
    def delivered_report(self) -> Path:
        """The last report that the bucket accepted."""
        return self.home / "report.delivered.json"

    @property
    def formatting(self) -> Path:
        """Names the volume that this instance has begun to format."""
        return self.home / "formatting.json"

    @property
    def log_positions(self) -> Path:
        """How far each log file has been shipped."""
        return self.home / "log-positions.json"

    @property
    def generations(self) -> Path:
        """One folder per generation of configuration."""
        return self.home / "generations"

    @property
    def pristine(self) -> Path:
        """Per generation what node wrote, where nobody else can read or change it."""
        return self.home / "pristine"

    @property
    def drift(self) -> Path:
        """What had drifted, and when the server last read its files at node's wish."""
        return self.home / "drift.json"

    @property
    def applying(self) -> Path:
        """There while a desired state is being applied; a killed run leaves it."""
        return self.home / "applying"

    @property
    def current(self) -> Path:
        """Symbolic link to the generation that the server reads."""
        return self.home / "current"

    @property
    def scratch(self) -> Path:
        """One folder per major, the scratch server's."""
        return self.home / "scratch"

    @property
    def volume(self) -> Path:
        """Where the data volume is mounted."""
        return self.root / "var/lib/postgresql"

    @property
    def journal(self) -> Path:
        """The applied-state journal; on the volume, with the data that it describes."""
        return self.volume / "passwordless-postgres-roles.json"

    @property
    def logs(self) -> Path:
        """The server's log directory."""
        return self.root / "var/log/postgresql"

    def data(self, major: int) -> Path:
        """The data directory of a major release."""
        return self.volume / str(major) / CLUSTER

    def configuration(self, major: int) -> Path:
        """The machine file, the server's main configuration file."""
        return self.root / "etc/postgresql" / str(major) / CLUSTER / "postgresql.conf"

    def initialised_majors(self) -> tuple[int, ...]:
        """Majors for which a whole data directory exists."""
        try:
            majors = [int(name) for name in files.names(self.volume) if _MAJOR.fullmatch(name)]
        except FileNotFoundError:
            return ()
        return tuple(sorted(major for major in majors if (self.data(major) / "PG_VERSION").exists()))

    def current_generation(self) -> str | None:
        """Name of the generation that `current` points to."""
        try:
            return self.current.readlink().name
        except FileNotFoundError:
            return None

    def make_home(self) -> None:
        """Make node's folders; the server's user can enter them, and nobody else can list or change them."""
        own = os.geteuid(), os.getegid()
        for path in (self.home, self.generations, self.scratch):
            files.make_directory(path, 0o711, owner=own)
        files.make_directory(self.pristine, 0o700, owner=own)

    def report_is_delivered(self) -> bool:
        """Whether the bucket got the last report, within the last hour: one that it lost is sent again.

        The machine may write the report and not read it, so it cannot ask.
        """
        try:
            age = time.time() - self.delivered_report.stat().st_mtime
            same = self.report.read_bytes() == self.delivered_report.read_bytes()
        except FileNotFoundError:
            return False
        return same and 0 <= age < _REPORT_SECONDS
