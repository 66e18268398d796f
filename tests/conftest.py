"""Fixtures of the whole suite."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.session
import hypothesis
import pytest

from emulator.postgresql_server.server_user import server_user
from engine.installation import ENGINE_VARIABLE
from engine.project import CHECKOUT
from tests.recording_monitor import Recording

pytest_plugins = ("tests.distribution", "tests.durations")

# A test needs what its fixtures need; `make test-fast` leaves these out.
NEEDS = {"pulumi": "engine", "postgresql_binaries": "server"}
BINARIES_VARIABLE = "PASSWORDLESS_POSTGRES_TEST_BINARIES"
PUBLIC_TEMPORARY_FOLDERS = ("/tmp", "/var/tmp")

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that starts the engine or a server, by the fixtures that it uses."""
    for item in items:
        for fixture, marker in NEEDS.items():
            if isinstance(item, pytest.Function) and fixture in item.fixturenames:
                item.add_marker(marker)


@pytest.fixture(scope="session", autouse=True)
def botocore_models() -> Iterator[None]:
    """Read the models of AWS's services once: each session that reads them anew takes 0.2 s."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(
            botocore.session, "create_loader", functools.cache(botocore.session.create_loader)
        )
        yield


class Programs(dict[str, Recording]):
    """What the program registers for a stack file, run when it is first asked for."""

    def __missing__(self, stack: str) -> Recording:
        from tests.test_program import run, sections_of

        self[stack] = run(sections_of(stack), stack)
        return self[stack]


@pytest.fixture(scope="session")
def programs() -> Programs:
    """What each stack file registers."""
    return Programs()


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The engine's command line; its Python language host lies beside it."""
    named = os.environ.get(ENGINE_VARIABLE)
    if named is None:
        pytest.fail(
            f"{ENGINE_VARIABLE} is not set. Run `make test`, or set it to what `python -m engine` prints."
        )
    return Path(named) / "pulumi"


@pytest.fixture(scope="session")
def postgresql_binaries() -> Callable[[int], Path]:
    """The folder with `postgres`, `initdb` and `psql` of a major release."""
    named = os.environ.get(BINARIES_VARIABLE)
    if named is None:
        pytest.fail(
            f"{BINARIES_VARIABLE} is not set. Run `make test`, or set it to what "
            "`python -m sandbox postgresql --major 15 --major 16 --major 17 --major 18` prints."
        )
    root = Path(named)

    def binaries(major: int) -> Path:
        return root / str(major) / "bin"

    return binaries


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of what git tracks, with this environment's packages. A test that changes it changes it back."""
    folder = tmp_path_factory.mktemp("checkout") / "main"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (CHECKOUT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    yield folder
    # Bytecode lies in the environment below the path of its source.
    shutil.rmtree(Path(sys.prefix) / "pycache" / folder.relative_to("/"), ignore_errors=True)
