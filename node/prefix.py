"""PostgreSQL from a folder of programs, with everything it writes below the machine's root folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node import server_log, server_process, short_path
from node.layout import Layout
from node.server_user import ServerUser
from runtime import files
from runtime.errors import FailedError, RefusedError

if TYPE_CHECKING:
    from node.format_record import FormatRecord

START_SECONDS = 60
ORPHAN_SECONDS = 15
# What the server writes at its start while backends of a killed postmaster hold the shared memory.
ORPHANS = ("is still in use", "pre-existing shared memory block")


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """The platform of the sandbox and of tests."""

    layout: Layout
    programs: Mapping[int, Path]
    user: ServerUser
    addresses: tuple[str, ...]

    @classmethod
    def described(cls, layout: Layout, description: Mapping[str, Any]) -> Prefix:
        """From platform.json: binaries, serverUser (null: this process's own), listenAddresses."""
        return cls(
            layout=layout,
            programs={int(major): Path(path) for major, path in description["binaries"].items()},
            user=ServerUser.named(description["serverUser"]),
            addresses=tuple(description["listenAddresses"]),
        )

    @property
    def socket_directory(self) -> Path:
        """Below the root folder, or a short path in its place."""
        return short_path.socket_directory(self.layout.root / "run/postgresql")

    def binaries(self, major: int) -> Path:
        """The folder that platform.json names."""
        try:
            return self.programs[major]
        except KeyError:
            raise RefusedError(
                f"major: this machine has no PostgreSQL {major}, only {sorted(self.programs)}"
            ) from None

    def install_own(self) -> None:
        """Install nothing: the interpreter of the folder's maker has it."""

    def install(self, major: int, minor_floor: int, packages: Sequence[str]) -> None:  # noqa: ARG002
        """Install nothing; refuse programs below the floor, since no later run would find others.

        An extension whose files are not there is refused by the server.
        """
        answer = self.user.run([self.binaries(major) / "postgres", "--version"])
        found = re.search(r"\(PostgreSQL\) (\d+)\.(\d+)", answer.stdout)
        if found is None:
            raise FailedError(f"{self.binaries(major) / 'postgres'}: {answer.stderr.strip() or 'no version'}")
        if (int(found[1]), int(found[2])) < (major, minor_floor):
            raise RefusedError(
                f"minorFloor: this machine has {found[1]}.{found[2]}, below {major}.{minor_floor}"
            )

    def prepare(self, major: int, volume: str | None, record: FormatRecord) -> None:  # noqa: ARG002
        """Make the folders, owned by the server's user, who can then reach them from the root folder.

        Nothing is mounted or formatted: the root folder is the volume.
        """
        for path in (self.layout.volume, self.layout.data(major).parent, self.layout.logs):
            self.user.make_directory(path)
        self.user.make_directory(self.layout.configuration(major).parent)
        short_path.make_socket_directory(self.socket_directory, self.user)
        for name in ("etc", "etc/postgresql", "var", "var/lib"):
            path = self.layout.root / name
            path.chmod(path.stat().st_mode | 0o111)

    def listen_addresses(self) -> Sequence[str]:
        """The addresses that platform.json names."""
        return self.addresses

    def package_work(self) -> None:
        """Nobody: there are no packages."""

    def start(self, major: int) -> None:
        """Start it with pg_ctl, once the backends of a killed server are gone."""
        data = self.layout.data(major)
        short_path.make_socket_directory(self.socket_directory, self.user)
        server_process.remove_stale_locks(data, self.socket_directory)
        log = self.layout.logs / "start.log"
        options = shlex.join(["-c", f"config_file={self.layout.configuration(major)}"])
        deadline = time.monotonic() + ORPHAN_SECONDS
        while True:
            files.remove_file(log)
            mark = server_log.mark(self.layout.logs)
            answer = self._pg_ctl(major, "start", "--wait", "-t", START_SECONDS, "-l", log, "-o", options)
            if answer.returncode == 0:
                return
            early = server_log.start_log(log) or answer.stderr
            output = "\n".join([early.strip(), *server_log.messages(self.layout.logs, mark)])
            if not any(sign in output for sign in ORPHANS) or time.monotonic() > deadline:
                raise FailedError(f"PostgreSQL does not start: {output}")
            time.sleep(0.2)

    def stop(self, major: int) -> None:
        """Stop it with pg_ctl; sessions end."""
        answer = self._pg_ctl(major, "stop", "--wait", "-t", START_SECONDS, "-m", "fast")
        if answer.returncode != 0 and server_process.find(self.layout.data(major)):
            raise FailedError(f"PostgreSQL does not stop: {answer.stderr.strip()}")

    def reload(self, major: int) -> None:
        """Reload it with pg_ctl."""
        answer = self._pg_ctl(major, "reload")
        if answer.returncode != 0:
            raise FailedError(f"PostgreSQL does not reload: {answer.stderr.strip()}")

    def _pg_ctl(
        self, major: int, action: str, *options: str | int | Path
    ) -> subprocess.CompletedProcess[str]:
        command = [self.binaries(major) / "pg_ctl", action, "-D", self.layout.data(major)]
        return self.user.run([*command, *map(str, options)], timeout=START_SECONDS + 30)
