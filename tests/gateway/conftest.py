"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import database
from tests.emulator.rds.conftest import Cloud
from tests.gateway.certificates import Authority
from tests.gateway.running_database import RunningDatabase


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no outage."""
    monkeypatch.setattr(database, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_SECONDS", 60)


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The client authority that the documents of these tests trust."""
    return Authority.root()


@pytest.fixture(scope="module")
def running(postgresql_binaries: Callable[[int], Path]) -> Iterator[RunningDatabase]:
    """A database with the roles `reports` and `orders`, which log in by token."""
    cloud = Cloud(postgresql_binaries)
    try:
        found = RunningDatabase(cloud=cloud, instance=cloud.instance())
        found.create_roles("reports", "orders", "limited")
        yield found
    finally:
        cloud.close()
