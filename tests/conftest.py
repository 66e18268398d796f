"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


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
