"""One login to the server: over TLS that proves the server's name, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from functions.roles.secure_socket import secure_socket
from postgres.sqlstate import is_passing
from postgres.steps import MAINTENANCE_DATABASE
from runtime.errors import FailedError, RefusedError

STATEMENT_SECONDS = 120
LOCK_SECONDS = 30
_ANSWER_MARGIN_SECONDS = 10
_INVALID_AUTHORISATION = "28"
_NO_SUCH_DATABASE = "3D000"


class LoginRefused(RefusedError):
    """The server knows nobody like that, or not by this password or token."""


class NoSuchDatabase(RefusedError):
    """The server has no database of that name."""


class SqlError(Exception):
    """The server refused a statement."""

    def __init__(self, sqlstate: str, message: str) -> None:
        """Keep what the server said, with its SQLSTATE."""
        self.sqlstate = sqlstate
        super().__init__(f"{message} (SQLSTATE {sqlstate})")

    @property
    def passing(self) -> bool:
        """Whether the same statement may succeed later."""
        return is_passing(self.sqlstate)


class Session:
    """Statements on one connection, each in its own transaction."""

    def __init__(self, connection: Connection) -> None:
        """Wraps a connection that `Server.session` opened."""
        self._connection = connection

    def run(self, sql: str) -> list[list[Any]]:
        """The rows of a statement; none where it returns none.

        Raises:
            SqlError: the server refuses it.
            FailedError: the connection broke.
        """
        try:
            return self._connection.run(sql) or []
        except DatabaseError as error:
            raise _sql_error(error) from None
        except (InterfaceError, OSError) as error:
            raise FailedError(f"the connection broke: {error}") from error

    def has_row(self, query: str) -> bool:
        """Whether a query returns a row.

        Raises:
            SqlError, FailedError: as `run`.
        """
        return bool(self.run(query))


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the server is, and who may have signed its certificate."""

    host: str
    port: int
    ca_pem: str = field(repr=False)

    @contextmanager
    def session(self, user: str, password: str, database: str = MAINTENANCE_DATABASE) -> Iterator[Session]:
        """A session of `user`, by a password or an IAM token.

        Raises:
            Unreachable, TlsRefused, LoginRefused, NoSuchDatabase: there is none.
            FailedError, RefusedError: the server says something else, such as that it starts up.
            SqlError: it refuses the session's settings.
        """
        connection = self._connect(user, password, database)
        try:
            session = Session(connection)
            session.run(f"SET lock_timeout = '{LOCK_SECONDS}s'")
            session.run(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
            yield session
        finally:
            # A goodbye that cannot be said: the connection broke before.
            with suppress(InterfaceError, OSError):
                connection.close()

    def _connect(self, user: str, password: str, database: str) -> Connection:
        where = f"{self.host}:{self.port}"
        secured = secure_socket(self.host, self.port, self.ca_pem)
        secured.settimeout(STATEMENT_SECONDS + _ANSWER_MARGIN_SECONDS)
        try:
            return Connection(
                user,
                sock=secured,
                ssl_context=False,  # it is TLS already
                database=database,
                password=password,
                application_name="passwordless-postgres",
            )
        except DatabaseError as error:
            raise _login_error(error, f"{where} as {user}, database {database}") from None
        except (InterfaceError, OSError) as error:
            raise FailedError(f"{where} broke the login of {user} off: {error}") from error


def _words(error: DatabaseError) -> tuple[str, str]:
    """SQLSTATE, and message with detail and hint."""
    said: dict[str, str] = error.args[0]
    parts: Sequence[tuple[str, str]] = (("", "M"), ("DETAIL: ", "D"), ("HINT: ", "H"))
    return said.get("C", "XX000"), " ".join(label + said[code] for label, code in parts if code in said)


def _sql_error(error: DatabaseError) -> SqlError:
    return SqlError(*_words(error))


def _login_error(error: DatabaseError, where: str) -> Exception:
    sqlstate, message = _words(error)
    words = f"{where}: {message} (SQLSTATE {sqlstate})"
    if sqlstate.startswith(_INVALID_AUTHORISATION):
        return LoginRefused(f"login refused by {words}")
    if sqlstate == _NO_SUCH_DATABASE:
        return NoSuchDatabase(f"login refused by {words}")
    kind = FailedError if is_passing(sqlstate) else RefusedError
    return kind(f"no login to {words}")
