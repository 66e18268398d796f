"""The function and pulumi-postgresql lead from one declaration on RDS to the same catalogues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from emulator.postgresql import PostgresqlProvider
from tests.emulator.conftest import serve as serve  # noqa: PLC0414 - a fixture
from tests.emulator.conftest import stack as stack  # noqa: PLC0414 - a fixture
from tests.functions.roles.conftest import ADMINISTRATOR, DECLARATION, Invocation, RdsLikeServer

CHECKOUT = Path(__file__).resolve().parents[3]
PROGRAM = f"""
    import sys
    sys.path.insert(0, {str(CHECKOUT)!r})
    import pulumi, pulumi_postgresql as postgresql
    from components.database_roles import DatabaseRoles, DatabaseRolesArgs
    from postgres.declaration import Declaration

    config = pulumi.Config()
    server = postgresql.Provider(
        "server", host="localhost", port=config.require_int("port"), username={ADMINISTRATOR!r},
        sslmode="require", superuser=False,
    )
    DatabaseRoles(
        "roles",
        DatabaseRolesArgs(
            declaration=Declaration.from_json(config.require("declaration")),
            major=config.require_int("major"),
            platform="rds",
        ),
        pulumi.ResourceOptions(providers=[server]),
    )
"""


@pytest.mark.parametrize("running_server", [pytest.param(15, marks=pytest.mark.long), 17], indirect=True)
def test_function_and_provider_end_with_the_same_catalogues(
    server: RdsLikeServer,
    invoke: Invocation,
    stack: Any,
    serve: Callable[[Provider], ProviderServer],
) -> None:
    assert invoke().outcome == "applied"
    by_function = server.catalogue()
    server.reset()
    assert invoke(None).outcome == "applied"
    assert server.catalogue() != by_function
    stack.providers["postgresql"] = serve(PostgresqlProvider()).port
    settings = {"port": server.port, "major": server.major, "declaration": DECLARATION.to_json()}
    for name, value in settings.items():
        stack.run("config", "set", name, str(value))
    stack.program(PROGRAM)
    up = stack.up()
    assert up.status == 0, up.output
    assert server.catalogue() == by_function
    again = stack.up("--refresh")
    assert again.status == 0, again.output
    assert set(again.changes) == {"unchanged"}, again.output
    assert server.catalogue() == by_function
