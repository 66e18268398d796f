"""Becomes a user, then a program: `python as_user.py UID GID PROGRAM ARGUMENT…`.

A process of its own, since a fork of the resident process would run the fork handlers of gRPC, whose
threads are not there in the child; the change of user is what makes Python fork instead of vfork.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    uid, gid = int(sys.argv[1]), int(sys.argv[2])
    os.umask(0o077)
    if os.geteuid() != uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 - there is no shell in it
