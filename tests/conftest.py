"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgresql_binaries() -> Callable[[int], Path]:
    """The folder with `postgres`, `initdb` and `psql` of a major release."""
    root = Path(os.environ.get("PASSWORDLESS_POSTGRES_TEST_BINARIES", "/tmp/pg"))

    def binaries(major: int) -> Path:
        return root / str(major) / "bin"

    return binaries
