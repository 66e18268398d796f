"""One declaration ends in the same catalogues, whether its SQL or pulumi-postgresql carries it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from components.database_roles import DatabaseRoles, DatabaseRolesArgs
from emulator.postgresql.connection import ProviderArguments, Server
from emulator.postgresql.provider import PostgresqlProvider
from postgres.declaration import Declaration
from postgres.reconciliation import Reconciliation
from postgres.versions import SUPPORTED_MAJORS
from tests.postgres.rds_roles import rds_setup
from tests.postgres.test_roles_server import ADMINISTRATOR, MIGRATED, Executor
from tests.recording_monitor import plain, record

SERVERS = [
    pytest.param(
        (platform, major),
        marks=() if (platform, major) in (("server", 15), ("rds", 17)) else pytest.mark.long,
    )
    for platform in ("server", "rds")
    for major in SUPPORTED_MAJORS
]


@pytest.fixture(params=SERVERS, ids=lambda server: "-".join(map(str, server)))
def executor(request: pytest.FixtureRequest, clusters: Callable[[int], Any]) -> Iterator[Executor]:
    """A server of our own, and one that is set up as RDS sets it up."""
    platform, major = request.param
    runner = Executor(clusters(major), platform=platform)
    start(runner)
    yield runner
    reset(runner)


def start(executor: Executor) -> None:
    executor.previous = None
    for statement in rds_setup(executor.cluster.major) if executor.platform == "rds" else []:
        executor.sql(statement)


def reset(executor: Executor) -> None:
    executor.sql("ALTER DATABASE postgres OWNER TO postgres")
    executor.reset()


def by_provider(executor: Executor, declaration: Declaration) -> None:
    """Create what the component registers, in its order, as the administrator."""
    arguments = DatabaseRolesArgs(
        declaration=declaration, major=executor.cluster.major, platform=executor.platform
    )
    recording = record(lambda: DatabaseRoles("roles", arguments))
    server = Server(
        ProviderArguments(host=str(executor.cluster.socket), username=ADMINISTRATOR, sslmode="disable")
    )
    types = PostgresqlProvider().types
    for each in recording.registrations:
        if each.custom:
            # The recording has every number as JSON's.
            inputs = {
                name: int(value) if isinstance(value, float) else value
                for name, value in plain(each.inputs).items()
            }
            request: Any = SimpleNamespace(preview=False, inputs=inputs, configuration={"server": server})
            types[each.type].create(request)


def test_the_provider_ends_with_the_catalogues_of_the_sql(executor: Executor) -> None:
    executor.apply(Declaration(administrator=ADMINISTRATOR))
    by_provider(executor, MIGRATED)
    state = executor.catalogue()
    assert executor.reconcile(MIGRATED) == Reconciliation()
    reset(executor)
    start(executor)
    executor.apply(MIGRATED)
    assert executor.catalogue() == state
