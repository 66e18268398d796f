"""Which OS user runs PostgreSQL: never root, which PostgreSQL refuses."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CommandError
from node.server_user import become

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, kw_only=True)
class ServerUser:
    """The user of the servers; `switched` when it is another one than ours."""

    name: str
    uid: int
    gid: int
    switched: bool

    @property
    def prefix(self) -> list[str]:
        """What starts a program as this user, put before the program's arguments."""
        return become(self.uid, self.gid) if self.switched else []

    def can_enter(self, folder: Path) -> bool:
        """Whether the user can reach files in `folder`, tried as that user."""
        # A test of permission bits would miss access lists and mount options.
        command = [*self.prefix, "test", "-x", str(folder)]
        return subprocess.run(command, check=False, cwd="/", stdin=subprocess.DEVNULL).returncode == 0


def server_user() -> ServerUser:
    """The current user, or for root `postgres` or else `nobody`.

    Raises:
        CommandError: root has neither of them, or the current user has no name.
    """
    if os.geteuid() != 0:
        try:
            own = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise CommandError(
                f"User {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL does not start without "
                f"one. Add one, for example as root: useradd --uid {os.geteuid()} somebody"
            ) from None
        return ServerUser(name=own.pw_name, uid=own.pw_uid, gid=own.pw_gid, switched=False)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid, switched=True)
    raise CommandError(
        f"PostgreSQL does not run as root, and this machine has none of the users {', '.join(CANDIDATES)}. "
        "Run this as an ordinary user, or add one: useradd --system postgres"
    )
