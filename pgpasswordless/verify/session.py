"""Log in with psycopg, and ask the server whom it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg

from pgpasswordless.errors import one_line
from pgpasswordless.libpq import conninfo
from postgres.protocol import MinimumProtocol

CONNECT_TIMEOUT_SECONDS = 10
APPLICATION_NAME = "pgpasswordless verify"

# session_id is what log_line_prefix writes for %c; the manual derives it from pg_stat_activity like this.
SESSION = """
SELECT a.pid, a.backend_start,
       to_hex(trunc(extract(epoch FROM a.backend_start))::bigint) || '.' || to_hex(a.pid) AS session_id,
       session_user::text, s.version, s.cipher, s.client_dn, s.client_serial,
       (SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'rds_iam')
FROM pg_stat_activity a LEFT JOIN pg_stat_ssl s ON s.pid = a.pid AND s.ssl
WHERE a.pid = pg_backend_pid()
"""
# First version (as `server_version_num`) that has system_user.
SYSTEM_USER_VERSION = 160000


@dataclass(frozen=True, kw_only=True)
class Session:
    """What the server says of one session.

    Attributes:
        session_id: as in the server's log.
        tls_version: None when the session is not encrypted.
        client_dn: subject of the client's certificate, cut by the server after 63 bytes.
        client_serial: serial number of the client's certificate.
        system_user: `method:identity`; None before PostgreSQL 16.
        iam_user: whether RDS accepts only tokens for the role; None where there is no `rds_iam`.
    """

    server_version: int
    pid: int
    started: datetime
    session_id: str
    session_user: str
    tls_version: str | None
    cipher: str | None
    client_dn: str | None
    client_serial: int | None
    system_user: str | None
    iam_user: bool | None


def log_in(parameters: Mapping[str, str | int]) -> Session:
    """Log in with libpq `parameters`, ask, and log out.

    Raises:
        psycopg.Error: the login or the query failed.
    """
    with _connect(parameters) as connection:
        row = connection.execute(SESSION).fetchone()
        if row is None:
            raise psycopg.OperationalError("pg_stat_activity does not show this session to itself")
        pid, started, session_id, session_user, version, cipher, dn, serial, iam_user = row
        system_user = None
        if connection.info.server_version >= SYSTEM_USER_VERSION:
            answer = connection.execute("SELECT system_user").fetchone()
            system_user = answer[0] if answer else None
        return Session(
            server_version=connection.info.server_version,
            pid=pid,
            started=started,
            session_id=session_id,
            session_user=session_user,
            tls_version=version,
            cipher=cipher,
            client_dn=dn,
            client_serial=int(serial) if serial is not None else None,
            system_user=system_user,
            iam_user=iam_user,
        )


def at_least(version: str | None, minimum: MinimumProtocol) -> bool:
    """Whether a session's TLS `version` (None without TLS) is `minimum` or newer."""
    # The names TLSv1, TLSv1.1, TLSv1.2, TLSv1.3 sort as the versions do.
    return version is not None and version >= minimum


def refusal(parameters: Mapping[str, str | int]) -> str | None:
    """The message with which a login with libpq `parameters` fails; None when it succeeds."""
    try:
        _connect(parameters).close()
    except psycopg.Error as error:
        return one_line(error)
    return None


def _connect(parameters: Mapping[str, str | int]) -> psycopg.Connection:
    return psycopg.connect(
        conninfo(parameters),
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=APPLICATION_NAME,
        autocommit=True,
    )
