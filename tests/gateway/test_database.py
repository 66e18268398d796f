"""Connections as callers' roles, on a real PostgreSQL that takes tokens as RDS does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from gateway import database as database_module
from gateway.database import RolePools, application_name, connection
from gateway.database_error import DatabaseUnavailableError
from gateway.metrics import Metrics
from pgpasswordless.connections import Database
from pgpasswordless.tokens import TokenSource
from tests.gateway.running_database import RunningDatabase, caller

SEEN = "SELECT current_user::text, current_setting('application_name'), pg_backend_pid()"


@pytest.fixture
def minted(monkeypatch) -> list[str]:
    """The user of each token that was requested."""
    asked: list[str] = []
    original = TokenSource.__call__

    def counted(source: TokenSource) -> str:
        asked.append(source.user)
        return original(source)

    monkeypatch.setattr(TokenSource, "__call__", counted)
    return asked


def with_pools(
    running: RunningDatabase, database: Database, use: Callable[[RolePools], Awaitable[Any]]
) -> Any:
    """What `use` returns, given pools of a database."""

    async def run() -> Any:
        pools = RolePools(metrics=Metrics(), session=running.session)
        try:
            await pools.adopt(database)
            return await use(pools)
        finally:
            await pools.close()

    return asyncio.run(run())


async def seen(pools: RolePools, role: str, serial: str = "0A") -> tuple[str, str, int]:
    async with pools.connection(caller(role, serial)) as session:
        row = await (await session.execute(SEEN)).fetchone()
        assert row is not None
        return row


def activity(running: RunningDatabase, pid: int) -> str | None:
    """The name of a connection as others see it; None when it is gone."""
    with running.cloud.master(running.instance) as connection:
        row = connection.execute(
            "SELECT application_name FROM pg_stat_activity WHERE pid = %s", (pid,)
        ).fetchone()
        return row[0] if row else None


async def eventually(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.05)


def test_a_caller_is_its_role_and_carries_its_serial_number(running):
    async def use(pools):
        user, name, _ = await seen(pools, "reports", "03A5B1")
        assert (user, name) == ("reports", "pgpasswordless-03A5B1")
        user, _, _ = await seen(pools, "orders")
        assert user == "orders"

    with_pools(running, running.described(["reports", "orders"]), use)


def test_callers_of_different_roles_never_share_a_connection(running):
    async def use(pools):
        found = await asyncio.gather(*(seen(pools, role) for role in ["reports", "orders"] * 20))
        reports = {pid for user, _, pid in found if user == "reports"}
        orders = {pid for user, _, pid in found if user == "orders"}
        assert reports
        assert orders
        assert not reports & orders

    with_pools(running, running.described(["reports", "orders"]), use)


def test_every_new_connection_asks_for_a_token_and_an_old_one_does_not(running, minted):
    async def use(pools):
        assert not minted
        first = await seen(pools, "reports")
        assert minted == ["reports"]
        assert await seen(pools, "reports") == first
        assert minted == ["reports"]
        async with pools.connection(caller("reports")):
            await seen(pools, "reports")
        assert minted == ["reports"] * 2

    with_pools(running, running.described(["reports"]), use)


def test_no_more_connections_are_made_than_the_role_may_have(running):
    async def use(pools):
        found = await asyncio.gather(*(seen(pools, "reports") for _ in range(30)))
        assert len({pid for _, _, pid in found}) <= 2

    with_pools(running, running.described(["reports"], connection_limit=2), use)


def test_where_others_use_up_the_roles_limit_callers_share_what_there_is(running):
    async def use(pools):
        async with asyncio.TaskGroup() as tasks, pools.connection(caller("limited")):
            # Its pool would make a second one, which the server refuses.
            second = tasks.create_task(seen(pools, "limited"))
            while "too many connections" not in (pools.login_problem("limited") or ""):
                await asyncio.sleep(0.01)
            assert not pools.problems()
            assert not second.done()
        assert second.result()[0] == "limited"

    with running.cloud.master(running.instance) as admin:
        admin.execute("ALTER ROLE limited CONNECTION LIMIT 1")
    with_pools(running, running.described(["limited"]), use)


def test_the_next_caller_of_a_connection_never_goes_by_the_name_of_the_last_one(running):
    async def use(pools):
        for serial in ("01", "02", "01", "03"):
            _, name, _ = await seen(pools, "reports", serial)
            assert name == application_name(serial)

    with_pools(running, running.described(["reports"], connection_limit=1), use)


def test_a_connection_that_nobody_uses_forgets_whose_it_was(running):
    async def use(pools):
        _, name, pid = await seen(pools, "reports", "0B")
        assert name == "pgpasswordless-0B"
        await eventually(lambda: activity(running, pid) == "pgpasswordless")
        assert (await seen(pools, "reports", "0B"))[1:] == (name, pid)

    with_pools(running, running.described(["reports"]), use)


@pytest.mark.parametrize("serial", ["0", "F" * 40, "A" * 80])
def test_the_name_is_no_longer_than_postgresql_keeps(serial):
    assert len(application_name(serial)) <= 63
    assert application_name(serial).startswith("pgpasswordless-")
    assert len(serial) > 40 or application_name(serial).endswith(serial)


def test_sessions_are_encrypted_and_bounded_in_time(running):
    async def use(pools):
        async with pools.connection(caller("reports")) as session:
            answers = [
                (await (await session.execute(f"SHOW {setting}")).fetchone())[0]
                for setting in ("statement_timeout", "idle_in_transaction_session_timeout")
            ]
            assert answers == ["30s", "1min"]
            parameters = session.info.get_parameters()
            assert parameters["sslmode"] == "verify-full"
            assert parameters["ssl_min_protocol_version"] == "TLSv1.3"

    with_pools(running, running.described(["reports"]), use)


def test_an_error_of_a_statement_is_the_applications_and_the_connection_goes_on(running):
    async def use(pools):
        _, _, pid = await seen(pools, "reports")
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with pools.connection(caller("reports")) as session:
                await session.execute("SELECT * FROM nowhere")
        assert (await seen(pools, "reports"))[2] == pid

    with_pools(running, running.described(["reports"]), use)


def test_an_open_transaction_does_not_stay_for_the_next_caller(running):
    async def use(pools):
        async def leave_open() -> None:
            async with pools.connection(caller("reports")) as session:
                await session.execute("BEGIN")
                await session.execute("CREATE TEMPORARY TABLE left_over (number integer)")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await leave_open()
        async with pools.connection(caller("reports")) as session:
            row = await (await session.execute("SELECT to_regclass('left_over')")).fetchone()
            assert row == (None,)

    with_pools(running, running.described(["reports"], connection_limit=1), use)


def test_another_database_takes_new_connections_and_old_ones_end_when_given_back(running):
    described = running.described(["reports", "orders"])
    changed = described.model_copy(update={"minimum_protocol": "TLSv1.2"})

    async def use(pools):
        _, _, idle = await seen(pools, "orders")
        async with pools.connection(caller("reports")) as session:
            await pools.adopt(changed)
            _, _, after = await seen(pools, "reports")
            _, _, before = await (await session.execute(SEEN)).fetchone()
            assert before != after
            await eventually(lambda: activity(running, idle) is None)
        await eventually(lambda: activity(running, before) is None)
        assert activity(running, after) is not None

    with_pools(running, described, use)


def test_a_document_that_changes_nothing_of_a_role_leaves_its_connections_alone(running):
    async def use(pools):
        _, _, before = await seen(pools, "reports")
        await pools.adopt(running.described(["reports", "orders"]))
        assert (await seen(pools, "reports"))[2] == before

    with_pools(running, running.described(["reports"]), use)


def test_a_role_that_the_document_no_longer_has_gets_no_connection(running):
    async def use(pools):
        _, _, pid = await seen(pools, "orders")
        await pools.adopt(running.described(["reports"]))
        with pytest.raises(DatabaseUnavailableError, match="no role 'orders'"):
            await seen(pools, "orders")
        await eventually(lambda: activity(running, pid) is None)

    with_pools(running, running.described(["reports", "orders"]), use)


def test_connections_that_the_server_ended_are_replaced_without_the_caller_noticing(running, monkeypatch):
    monkeypatch.setattr(database_module, "FRESH_SECONDS", 0.0)

    async def use(pools):
        _, _, pid = await seen(pools, "reports")
        with running.cloud.master(running.instance) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        assert (await seen(pools, "reports"))[2] != pid

    with_pools(running, running.described(["reports"]), use)


def test_a_connection_that_is_lost_in_use_is_a_clear_error_and_the_next_caller_has_another(running):
    async def use(pools):
        async def lose() -> None:
            async with pools.connection(caller("reports")) as session:
                _, _, pid = await (await session.execute(SEEN)).fetchone()
                with running.cloud.master(running.instance) as admin:
                    admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
                await session.execute("SELECT 1")

        with pytest.raises(DatabaseUnavailableError, match="was lost") as lost:
            await lose()
        assert lost.value.status_code == 503
        assert lost.value.headers == {"Retry-After": "2"}
        assert (await seen(pools, "reports"))[0] == "reports"

    with_pools(running, running.described(["reports"]), use)


def test_a_refused_login_is_a_clear_error_that_says_why_in_the_log_alone(running):
    async def use(pools):
        with pytest.raises(DatabaseUnavailableError, match=r"'nobody'.*authentication failed") as refused:
            await seen(pools, "nobody")
        assert refused.value.detail == "the database is not available"
        assert set(pools.problems()) == {"nobody"}
        await seen(pools, "reports")
        assert set(pools.problems()) == {"nobody"}

    with_pools(running, running.described(["reports", "nobody"]), use)


def test_without_credentials_the_error_says_so(running, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")

    async def run():
        pools = RolePools(metrics=Metrics())
        try:
            await pools.adopt(running.described(["reports"]))
            with pytest.raises(DatabaseUnavailableError, match="there are no AWS credentials"):
                await seen(pools, "reports")
        finally:
            await pools.close()

    asyncio.run(run())


def test_after_an_outage_callers_are_served_again_without_a_restart(running):
    async def use(pools):
        await asyncio.gather(*(seen(pools, "reports") for _ in range(10)))
        await asyncio.to_thread(running.stop)
        try:
            # A connection that was used a moment ago is not tried before it is handed out.
            async with asyncio.timeout(60):
                while set(pools.problems()) != {"reports"}:
                    with pytest.raises(DatabaseUnavailableError):
                        await seen(pools, "reports")
        finally:
            await asyncio.to_thread(running.start)

        async def served() -> bool:
            try:
                return (await seen(pools, "reports"))[0] == "reports"
            except DatabaseUnavailableError:
                return False

        async with asyncio.timeout(60):
            while not await served():
                pass
        assert not pools.problems()

    with_pools(running, running.described(["reports"]), use)


def test_an_application_reaches_the_database_by_its_requests_scope(running):
    async def use(pools):
        scope = {
            "state": {database_module.STATE_KEY: pools},
            "pgpasswordless.identity": caller("orders", "0C"),
        }
        async with connection(scope) as session:
            row = await (await session.execute(SEEN)).fetchone()
            assert row is not None
            assert row[:2] == ("orders", "pgpasswordless-0C")

    with_pools(running, running.described(["orders"]), use)


@pytest.mark.parametrize("scope", [{}, {"state": {}}])
def test_a_request_that_was_not_let_in_reaches_no_database(scope):
    async def run():
        async with connection(scope):
            pytest.fail("there is a connection")

    with pytest.raises(LookupError, match="middleware"):
        asyncio.run(run())
