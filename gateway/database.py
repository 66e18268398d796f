"""Connections to the database as the caller's role: one pool per role, never shared between roles.

Every new connection logs in with a token of its own. Its `application_name` is the serial number of the
caller's certificate, so that the server's log and `pg_stat_activity` tell for whom a statement ran.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Self, final
from weakref import WeakSet

import boto3
import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from gateway.caller import Caller, caller
from gateway.database_error import DatabaseUnavailableError
from gateway.metrics import Metrics
from pgpasswordless.connections import Database, RoleConnection
from pgpasswordless.errors import TokenError, one_line
from pgpasswordless.tokens import TokenSource
from runtime.files import replace_file

STATE_KEY = "pgpasswordless_pools"
"""Key of the `RolePools` in `scope["state"]`; Starlette's `request.state.pgpasswordless_pools`."""

APPLICATION_NAME = "pgpasswordless"
MAX_POOL_SIZE = 10
"""Most connections of one role on one machine, if the role's own limit allows as many.

The workers of a machine divide them. All machines share the role's limit: a login beyond it fails, and
callers then share the existing connections.
"""
MAX_WAITING = 200
WAIT_SECONDS = 5.0
CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 30
IDLE_IN_TRANSACTION_TIMEOUT_SECONDS = 60
# A pool that gets no connection for this long stops trying, and the next request starts it again at once.
# psycopg_pool's own back-off would outlast a short outage.
RECONNECT_SECONDS = 3.0
IDLE_SECONDS = 600.0
FRESH_SECONDS = 1.0
"""A connection used this recently keeps its name and is not checked for being alive.

Setting and resetting the name for every request costs two round trips, and with them more than half of
the gateway's throughput (measured). So the name is set when another caller takes the connection, before
the first statement, and reset when the connection stays idle.
"""

_NAME = "SELECT pg_catalog.set_config('application_name', %s, false)"
_log = logging.getLogger(__name__)


def application_name(serial: str) -> str:
    """The name of a connection used for a certificate; PostgreSQL truncates names to 63 bytes."""
    return f"{APPLICATION_NAME}-{serial}"[:63]


@asynccontextmanager
async def connection(scope: Mapping[str, Any]) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection as the role of the request with this scope, for the duration of the block.

    It is in autocommit mode: use `connection.transaction()` for more than one statement.

    Raises:
        DatabaseUnavailableError: there is no connection, or it was lost during the block.
        LookupError: the request did not come through the gateway's middleware.
    """
    pools: RolePools | None = scope.get("state", {}).get(STATE_KEY)
    if pools is None:
        raise LookupError(
            f"the scope's state has no {STATE_KEY!r}: this request did not come through the gateway's"
            " middleware"
        )
    async with pools.connection(caller(scope)) as found:
        yield found


class RoleLogins:
    """Outcomes of one role's logins."""

    def __init__(self, role: str, metrics: Metrics) -> None:
        """Start without any login."""
        self.role = role
        self.problem: str | None = None
        """Why the last login failed; None if it succeeded."""
        self._metrics = metrics
        self._sessions: WeakSet[RoleSession] = WeakSet()
        self._waiting: set[asyncio.Future[None]] = set()

    def succeeded(self, session: RoleSession) -> None:
        """A login succeeded."""
        self.problem = None
        self._sessions.add(session)
        self._metrics.login(self.role, succeeded=True)

    def failed(self, problem: str) -> None:
        """A login failed."""
        self.problem = problem
        self._metrics.login(self.role, succeeded=False)
        for each in self._waiting:
            if not each.done():
                each.set_result(None)

    @contextmanager
    def next_failure(self) -> Iterator[asyncio.Future[None]]:
        """A future that completes as soon as a login fails."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            yield future
        finally:
            self._waiting.discard(future)
            future.cancel()

    @property
    def has_sessions(self) -> bool:
        """Whether there is an open connection that may be given back."""
        return any(not session.closed for session in self._sessions)


class RoleSession(AsyncConnection[Any]):
    """A pooled connection that remembers its application_name."""

    current_name: str = APPLICATION_NAME
    used_at: float = 0.0

    @classmethod
    async def connect(cls, conninfo: str = "", *, logins: RoleLogins, **kwargs: Any) -> Self:  # type: ignore[override]
        """Log in, and record the outcome in `logins`."""
        try:
            session = await super().connect(conninfo, **kwargs)
        except psycopg.Error as error:
            logins.failed(one_line(error))
            raise
        session.used_at = monotonic()
        logins.succeeded(session)
        return session

    async def rename(self, name: str) -> None:
        """Set application_name, unless it is set already and the connection was used recently.

        Raises:
            psycopg.Error: the connection is dead.
        """
        if name != self.current_name or monotonic() - self.used_at > FRESH_SECONDS:
            # Forgotten first: after a failure the name is unknown and must be set again.
            self.current_name = ""
            await self.execute(_NAME, (name,))
            self.current_name = name


@final
@dataclass(frozen=True, kw_only=True)
class Share:
    """Which part of a machine's connections is a worker's.

    Attributes:
        worker: its number, from 0.
        workers: how many there are.
    """

    worker: int = 0
    workers: int = 1

    def of(self, connections: int) -> int:
        """So many of a machine's; 0 where there are fewer than workers."""
        return connections // self.workers + (self.worker < connections % self.workers)


@final
@dataclass(frozen=True, kw_only=True)
class _Target:
    """What a pool connects to; a changed target needs a new pool."""

    host: str
    port: int
    region: str | None
    root_certificate: Path
    minimum_protocol: str
    role: str
    connection: RoleConnection


class RolePools:
    """The pools of all roles of one database; a role's first caller opens its pool.

    Belongs to one event loop.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        share: Share = Share(),
        session: Callable[[], boto3.Session] = boto3.Session,
    ) -> None:
        """Open no pool yet.

        Args:
            metrics: counts logins.
            share: which of the machine's connections may be opened here.
            session: makes the session whose credentials sign tokens.
        """
        self._metrics = metrics
        self._share = share
        self._make_session = session
        self._session: boto3.Session | None = None
        self._sources: dict[_Target, TokenSource] = {}
        # boto3 sessions must not be shared between threads, so one thread makes all tokens.
        self._tokens = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        self._folder = Path(tempfile.mkdtemp(prefix="pgpasswordless-gateway-"))
        self._lock = asyncio.Lock()
        self._targets: dict[str, _Target] = {}
        self._open: dict[str, _Open] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def prepare(self, database: Database) -> Path:
        """Have the file with the database's authorities, so that nothing can fail when it is adopted.

        Raises:
            OSError: it cannot be written.
        """
        root_certificate = self._folder / f"{database.server_ca.sha256}.pem"
        if not root_certificate.exists():
            await asyncio.to_thread(replace_file, root_certificate, database.server_ca.pem)
        return root_certificate

    async def adopt(self, database: Database) -> None:
        """Use this database from now on, and close the pools whose target has changed.

        Connections in use are closed when they are given back.

        Raises:
            OSError: it was not prepared, and cannot be.
        """
        root_certificate = await self.prepare(database)
        async with self._lock:
            self._targets = {
                role: _Target(
                    host=database.host,
                    port=database.port,
                    region=database.region,
                    root_certificate=root_certificate,
                    minimum_protocol=database.minimum_protocol,
                    role=role,
                    connection=connection,
                )
                for role, connection in database.roles.items()
            }
            for role, opened in list(self._open.items()):
                if opened.target != self._targets.get(role):
                    del self._open[role]
                    task = asyncio.create_task(opened.close())
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)

    @asynccontextmanager
    async def connection(self, whose: Caller) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection as the caller's role, named after the caller, for the duration of the block.

        Raises:
            DatabaseUnavailableError: there is none now, or it was lost during the block.
        """
        opened = self._open.get(whose.role) or await self._opened(whose.role)
        try:
            session = await opened.take(application_name(whose.serial))
        except (PoolTimeout, TooManyRequests, PoolClosed) as error:
            problem = opened.logins.problem or one_line(error)
            raise DatabaseUnavailableError(f"no connection as {whose.role!r}: {problem}") from error
        try:
            yield session
        except psycopg.OperationalError as error:
            if not session.closed:
                raise
            raise DatabaseUnavailableError(
                f"the connection as {whose.role!r} was lost: {one_line(error)}"
            ) from error
        finally:
            await opened.give_back(session)

    def login_problem(self, role: str) -> str | None:
        """Why the role's last login failed; None if it succeeded or there was none."""
        opened = self._open.get(role)
        return opened.logins.problem if opened else None

    def problems(self) -> dict[str, str]:
        """Per role without a connection, why its last login failed."""
        return {
            role: opened.logins.problem
            for role, opened in self._open.items()
            if opened.logins.problem and not opened.logins.has_sessions
        }

    def states(self) -> dict[str, dict[str, int]]:
        """psycopg_pool's statistics, by role."""
        return {role: opened.pool.get_stats() for role, opened in self._open.copy().items()}

    async def close(self) -> None:
        """Close all pools and remove the files."""
        async with self._lock:
            pools = list(self._open.values())
            self._open.clear()
            self._targets = {}
        await asyncio.gather(*(pool.close() for pool in pools), *self._closing)
        self._tokens.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(shutil.rmtree, self._folder)

    async def _opened(self, role: str) -> _Open:
        async with self._lock:
            if role in self._open:
                return self._open[role]
            target = self._targets.get(role)
            if target is None:
                # Allow-list and roles belong to one document, so a new document is just taking effect.
                raise DatabaseUnavailableError(
                    f"the database has no role {role!r} now", retry_after_seconds=1
                )
            logins = RoleLogins(role, self._metrics)
            opened = _Open(target=target, share=self._share, logins=logins, parameters=self._parameters)
            await opened.pool.open()
            self._open[role] = opened
            return opened

    async def _parameters(self, target: _Target, logins: RoleLogins) -> dict[str, Any]:
        try:
            password = await asyncio.get_running_loop().run_in_executor(self._tokens, self._token, target)
        except TokenError as error:
            logins.failed(str(error))
            raise
        return {
            "host": target.host,
            "port": target.port,
            "dbname": target.connection.database,
            "user": target.role,
            "password": password,
            "sslmode": "verify-full",
            "sslrootcert": str(target.root_certificate),
            "ssl_min_protocol_version": target.minimum_protocol,
            "gssencmode": "disable",
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            # A peer that has gone sends nothing; these limit the wait for it.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            "application_name": APPLICATION_NAME,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s"
            f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_SECONDS}s",
            "autocommit": True,
            "logins": logins,
        }

    def _token(self, target: _Target) -> str:
        source = self._sources.get(target)
        if source is None:
            self._session = self._session or self._make_session()
            source = TokenSource(
                host=target.host,
                port=target.port,
                user=target.role,
                region=target.region,
                session=self._session,
                known_endpoint=True,
            )
            self._sources[target] = source
        return source()


class _Open:
    """One role's pool."""

    def __init__(
        self,
        *,
        target: _Target,
        share: Share,
        logins: RoleLogins,
        parameters: Callable[[_Target, RoleLogins], Awaitable[dict[str, Any]]],
    ) -> None:
        self.target = target
        self.logins = logins
        self._timer: asyncio.TimerHandle | None = None
        self._resetting: asyncio.Task[None] | None = None
        limit = target.connection.connection_limit
        size = share.of(MAX_POOL_SIZE if limit < 0 else max(1, min(MAX_POOL_SIZE, limit)))
        self.pool: AsyncConnectionPool[RoleSession] = AsyncConnectionPool(
            kwargs=lambda: parameters(target, logins),  # type: ignore[arg-type]
            connection_class=RoleSession,
            min_size=0,
            # Fewer connections than workers: they take turns, and none may keep one that it does not use.
            max_size=max(1, size),
            max_idle=IDLE_SECONDS if size else FRESH_SECONDS,
            open=False,
            name=target.role,
            timeout=WAIT_SECONDS,
            max_waiting=MAX_WAITING,
            max_lifetime=target.connection.max_lifetime_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
        )

    async def take(self, name: str) -> RoleSession:
        """A live connection named `name`.

        Raises:
            PoolTimeout, TooManyRequests, PoolClosed: as the pool raises them; PoolTimeout also as soon as a
                login fails while there is no connection to wait for.
        """
        until = monotonic() + WAIT_SECONDS
        while True:
            session = await self._get(until - monotonic())
            try:
                await session.rename(name)
            except psycopg.Error as error:
                await self.pool.putconn(session)
                if not session.closed:
                    raise
                _log.info("a connection of %r was lost while idle: %s", self.pool.name, one_line(error))
            except asyncio.CancelledError:
                await self.pool.putconn(session)
                raise
            else:
                return session

    async def _get(self, seconds: float) -> RoleSession:
        if self.pool.get_stats()["pool_available"]:
            return await self.pool.getconn(seconds)
        getting = asyncio.create_task(self.pool.getconn(seconds))
        with self.logins.next_failure() as failure:
            try:
                await asyncio.wait({getting, failure}, return_when=asyncio.FIRST_COMPLETED)
                if self.logins.has_sessions:
                    await asyncio.wait({getting})
            except asyncio.CancelledError:
                await self._abandon(getting)
                raise
        if getting.done():
            return getting.result()
        await self._abandon(getting)
        raise PoolTimeout("a login failed, and there is no connection to wait for")

    async def _abandon(self, getting: asyncio.Task[RoleSession]) -> None:
        getting.cancel()
        await asyncio.wait({getting})
        if not getting.cancelled() and getting.exception() is None:
            await self.pool.putconn(getting.result())

    async def give_back(self, session: RoleSession) -> None:
        """Put a connection back; its name is reset unless somebody takes it soon."""
        session.used_at = monotonic()
        await self.pool.putconn(session)
        self._reset_later()

    async def close(self) -> None:
        """Close the pool; connections in use are closed when they are given back."""
        if self._timer is not None:
            self._timer.cancel()
        await self.pool.close()

    def _reset_later(self) -> None:
        if self._timer is None and not self.pool.closed:
            self._timer = asyncio.get_running_loop().call_later(FRESH_SECONDS, self._begin_reset)

    def _begin_reset(self) -> None:
        self._timer = None
        self._resetting = asyncio.create_task(self._reset_names())

    async def _reset_names(self) -> None:
        """Reset the name of each connection that has been idle long enough."""
        fresh = False
        for _ in range(self.pool.max_size):
            # An empty pool would open a new connection for us.
            if not self.pool.get_stats()["pool_available"]:
                break
            try:
                session = await self.pool.getconn(FRESH_SECONDS)
            except (PoolTimeout, PoolClosed):
                break
            try:
                if monotonic() - session.used_at < FRESH_SECONDS:
                    fresh = True
                elif session.current_name != APPLICATION_NAME:
                    await session.rename(APPLICATION_NAME)
            except psycopg.Error as error:
                _log.info("a connection of %r was lost while idle: %s", self.pool.name, one_line(error))
            finally:
                await self.pool.putconn(session)
        if fresh:
            self._reset_later()
