"""Fixtures of the whole suite."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.postgresql_server.server_user import server_user

PUBLIC_TEMPORARY_FOLDERS = ("/tmp", "/var/tmp")


def pytest_configure() -> None:
    """Run where PostgreSQL's user can enter: root's own TMPDIR is often closed to everybody else."""
    user = server_user()
    if user.can_enter(Path(tempfile.gettempdir())):
        return
    for folder in PUBLIC_TEMPORARY_FOLDERS:
        if user.can_enter(Path(folder)):
            os.environ["TMPDIR"] = tempfile.tempdir = folder
            return
    pytest.exit(
        f"User {user.name}, who runs the servers, can enter neither {tempfile.gettempdir()} nor "
        f"{', '.join(PUBLIC_TEMPORARY_FOLDERS)}. Set TMPDIR to a folder that it can enter."
    )


@pytest.fixture(scope="session")
def postgresql_binaries() -> Callable[[int], Path]:
    """The folder with `postgres`, `initdb` and `psql` of a major release."""
    named = os.environ.get("PASSWORDLESS_POSTGRES_TEST_BINARIES")
    if named is None:
        pytest.fail(
            "PASSWORDLESS_POSTGRES_TEST_BINARIES is not set. Run `make test`, or set it to what "
            "`python -m sandbox postgresql --major 15 --major 16 --major 17 --major 18` prints."
        )
    root = Path(named)

    def binaries(major: int) -> Path:
        return root / str(major) / "bin"

    return binaries
