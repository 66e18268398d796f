"""Which roles log in by token: the members of rds_iam, as the server has them at each login."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from emulator.rds.model import IAM_ROLE
from emulator.rds.server import GRANT_OPTIONS_SINCE

# As pg_hba.conf understands +rds_iam: any membership counts, nested ones and mere rights to grant included.
# Only the master may grant it without logging in by token.
_MEMBER = "pg_has_role(oid, %(group)s, 'MEMBER')"
_MASTER_USES = "(pg_has_role(oid, %(group)s, 'USAGE') OR pg_has_role(oid, %(group)s, 'SET'))"


class Membership:
    """Asks the server over one connection that is kept open.

    Args:
        connection: Arguments for psycopg.
        major: Release of the server.
        master: The master user.
    """

    def __init__(self, connection: dict[str, Any], major: int, master: str) -> None:
        self._arguments = connection
        self._master = master
        master_test = _MASTER_USES if major >= GRANT_OPTIONS_SINCE else _MEMBER
        test = f"CASE WHEN rolname = %(master)s THEN {master_test} ELSE {_MEMBER} END"
        # Values go in as parameters; the rest are texts of this module.
        self._query = f"SELECT {test} FROM pg_roles WHERE rolname = %(role)s".encode()  # noqa: S608
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()

    async def logs_in_by_token(self, role: str) -> bool:
        """Whether a role is a member; False when it does not exist.

        Raises:
            psycopg.Error: The server does not answer.
        """
        async with self._lock:
            kept = self._connection is not None and not self._connection.closed
            try:
                return await self._ask(role)
            except psycopg.OperationalError:
                # A connection that was kept ends with each restart of the server.
                await self.close()
                if not kept:
                    raise
                return await self._ask(role)

    async def _ask(self, role: str) -> bool:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(**self._arguments)
        connection = self._connection
        values = {"group": IAM_ROLE, "master": self._master, "role": role}
        try:
            cursor = await connection.execute(self._query, values)
            found = await cursor.fetchone()
        except asyncio.CancelledError:
            # A cancelled login leaves an answer behind that nobody would read.
            connection.pgconn.finish()
            raise
        return bool(found and found[0])

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
