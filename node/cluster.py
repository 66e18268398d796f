"""The data directory: created once, atomically, and never upgraded by node."""

from __future__ import annotations

from pathlib import Path

from node.layout import Layout
from node.server_user import ServerUser
from postgres.identifiers import SUPERUSER
from runtime.errors import FailedError, RefusedError


def refuse_other_major(layout: Layout, major: int) -> None:
    """Refuse to replace a server that has data with a new, empty one.

    Raises:
        RefusedError: the volume holds another major's data directory and not this one's.
    """
    present = layout.initialised_majors()
    if present and major not in present:
        raise RefusedError(
            f"major: {major} is asked for, but the data volume holds PostgreSQL {present[-1]}. "
            f"Changing the major needs pg_upgrade or a dump and restore, which node does not do: "
            f"keep major {present[-1]}, or give the new major a server of its own and move the data"
        )


def initialise(data: Path, binaries: Path, user: ServerUser) -> bool:
    """Run initdb unless the data directory exists; after a killed run it starts afresh.

    Returns:
        True if it was created now, so that no server has ever run on it.

    Raises:
        FailedError: initdb fails.
    """
    if (data / "PG_VERSION").exists():
        return False
    beside = _absent(data, user)
    answer = user.run(
        [
            binaries / "initdb",
            "--pgdata",
            beside,
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
            "--auth-local=peer",
            "--auth-host=reject",
            "--no-instructions",
        ]
    )
    if answer.returncode != 0:
        raise FailedError(f"initdb: {answer.stderr.strip() or answer.stdout.strip()}")
    _put_in_place(beside, data, user)
    return True


def copy_fresh(fresh: Path, copy: Path, user: ServerUser) -> None:
    """Copy a data directory on which no server has ever run; several times faster than initdb.

    Raises:
        FailedError: it cannot be copied.
    """
    beside = _absent(copy, user)
    user.must("cp", "--recursive", "--preserve=mode", "--no-target-directory", fresh, beside)
    _put_in_place(beside, copy, user)


def _absent(data: Path, user: ServerUser) -> Path:
    """A path beside `data` where nothing is."""
    beside = data.with_name(f"{data.name}.initialising")
    user.must("rm", "--recursive", "--force", "--one-file-system", beside)
    return beside


def _put_in_place(beside: Path, data: Path, user: ServerUser) -> None:
    # The volume may come with an empty folder of that name, which is replaced; a full one makes this fail.
    user.must("mv", "--no-target-directory", beside, data)
    user.must("sync", data.parent)
