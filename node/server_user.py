"""The operating system's user that runs the server and every program that touches its files."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime import files
from runtime.errors import FailedError

SETPRIV = "/usr/bin/setpriv"
ENV = "/usr/bin/env"
NOT_STARTED = (126, 127)  # the exit status of both where they cannot execute the program


def become(uid: int, gid: int) -> list[str]:
    """What starts a program as another user, put before the program's arguments; root alone may.

    With subprocess's `user` Python forks: it copies this process's page tables (37 ms for 700 MB, measured)
    and runs the fork handlers of gRPC, whose threads are not there in the child, so that some crash.
    """
    # setpriv still reaches the program's file with root's rights; env reaches it with the user's.
    return [SETPRIV, f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--", ENV]


@dataclass(frozen=True, kw_only=True)
class ServerUser:
    """A user other than root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str | None) -> ServerUser:
        """The user with that name; None is the user of this process.

        Raises:
            FailedError: there is no such user, or it would be root, which PostgreSQL refuses.
        """
        try:
            entry = pwd.getpwnam(name) if name else pwd.getpwuid(os.geteuid())
        except KeyError as error:
            raise FailedError(f"this machine has no user {name or os.geteuid()}") from error
        if entry.pw_uid == 0:
            raise FailedError("PostgreSQL does not run as root: name its user in serverUser of platform.json")
        return cls(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)

    @property
    def owner(self) -> tuple[int, int]:
        """(uid, gid)."""
        return self.uid, self.gid

    def run(
        self, command: Sequence[str | Path], *, stdin: str = "", timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user, in a clean environment; its output is captured.

        Raises:
            FailedError: it cannot be started or takes longer than `timeout` seconds.
        """
        prefix = become(*self.owner) if os.geteuid() == 0 else []
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/", "PSQL_HISTORY": "/dev/null"}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        try:
            answer = subprocess.run(
                [*prefix, *map(str, command)],
                input=stdin,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                cwd="/",
                umask=0o077,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise FailedError(f"{Path(command[0]).name} did not end within {timeout:.0f} s") from error
        except OSError as error:
            raise FailedError(f"{command[0]} cannot be started as user {self.name}: {error}") from error
        if prefix and answer.returncode in NOT_STARTED:
            reason = answer.stderr.strip()
            raise FailedError(f"{command[0]} cannot be started as user {self.name}: {reason}")
        return answer

    def make_directory(self, path: Path, *, mode: int = 0o700) -> None:
        """Make a folder that belongs to this user; folders above it are made enterable for all.

        Raises:
            PlantedError: as `files.make_directory`.
        """
        files.make_directory(path, mode, owner=self.owner if os.geteuid() == 0 else None)

    def must(self, *command: str | Path) -> None:
        """Run a program that says nothing unless it fails.

        What lies below a folder of this user is copied, moved and removed by programs that run as this
        user: root would follow where the user's links lead.

        Raises:
            FailedError: it fails; with what it said.
        """
        answer = self.run(command)
        if answer.returncode != 0:
            raise FailedError(f"{' '.join(map(str, command))}: {answer.stderr.strip()}")
