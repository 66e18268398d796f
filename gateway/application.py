"""The default application, for stacks that name none of their own: it shows what the gateway provides.

`GET /whoami` tells which caller the gateway saw, and which user PostgreSQL sees.
"""

from __future__ import annotations

import json
import logging

from psycopg.rows import dict_row
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.caller import caller
from gateway.database import connection
from gateway.database_error import DatabaseUnavailableError

# pg_stat_ssl describes the connection between gateway and server.
WHOAMI = """
SELECT current_user::text AS "currentUser",
       inet_client_addr()::text AS "clientAddress",
       current_setting('application_name') AS "applicationName",
       current_setting('server_version') AS "serverVersion",
       (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS ssl,
       (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS "tlsVersion"
"""

_log = logging.getLogger(__name__)


async def whoami(request: Request) -> Response:
    """The caller, and how PostgreSQL sees the session."""
    who = caller(request.scope)
    async with connection(request.scope) as session, session.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(WHOAMI, prepare=True)
        database = await cursor.fetchone()
    return _json(
        200,
        {
            "role": who.role,
            "serial": who.serial,
            "subject": who.subject,
            "identity": {"kind": who.identity_kind, "value": who.identity_value},
            "notAfter": who.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "database": database,
        },
    )


async def _unavailable(_request: Request, error: Exception) -> Response:
    if not isinstance(error, DatabaseUnavailableError):
        raise error
    _log.warning("%s", error)
    return _json(error.status_code, {"error": error.detail}, dict(error.headers or {}))


def _json(status: int, content: object, headers: dict[str, str] | None = None) -> Response:
    return Response(
        json.dumps(content),
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


application = Starlette(
    routes=[Route("/whoami", whoami)], exception_handlers={DatabaseUnavailableError: _unavailable}
)
