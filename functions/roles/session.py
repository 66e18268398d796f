"""One login to the server, over TLS that has proved the server's name before PostgreSQL's protocol begins."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection
from scramp import ScramException

from postgres.identifiers import MAINTENANCE_DATABASE
from postgres.protocol import SSL_REQUEST, is_transient
from runtime.errors import FailedError, RefusedError

CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 120
LOCK_SECONDS = 30
_ANSWER_MARGIN_SECONDS = 10
_SSL_ACCEPTED, _SSL_REFUSED = b"S", b"N"
_INVALID_AUTHORIZATION = "28"
_NO_SUCH_DATABASE = "3D000"
# AuthenticationSASL, SASLContinue, SASLFinal and Ok (PostgreSQL, "Message Formats").
_SASL, _SCRAM = 10, (10, 11, 12, 0)
_SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
_METHODS = {0: "nothing", 3: "a clear-text password", 5: "an MD5 password"}


class Unreachable(FailedError):
    """Nothing answers at the host and port."""


class TlsRefused(RefusedError):
    """The server offers no TLS, or none that the function trusts."""


class LoginRefused(RefusedError):
    """The server does not know the user, or does not accept this password or token."""


class NotScram(RefusedError):
    """The server wants another proof than SCRAM-SHA-256, or gives none that it knows the password itself."""


class NoSuchDatabase(RefusedError):
    """The server has no database of that name."""


class SqlError(Exception):
    """The server refused a statement."""

    def __init__(self, sqlstate: str, message: str) -> None:
        """Keep the server's message and its SQLSTATE."""
        self.sqlstate = sqlstate
        super().__init__(f"{message} (SQLSTATE {sqlstate})")

    @property
    def passing(self) -> bool:
        """Whether the same statement may succeed later."""
        return is_transient(self.sqlstate)


class _ScramConnection(Connection):
    """A login by SCRAM-SHA-256 and nothing else, as libpq's `require_auth=scram-sha-256`.

    No other request for a password is answered, and no login is taken before the server has proved that it
    knows the password. The proof is bound to the server's certificate where the server offers that.
    """

    _seen = 0

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Any) -> None:  # noqa: N802 - pg8000's name
        """Answer the request that is due in SCRAM's sequence.

        Raises:
            NotScram: it is another one, or of another mechanism.
        """
        (method,) = struct.unpack_from("!i", data)
        due = _SCRAM[self._seen] if self._seen < len(_SCRAM) else None
        if method != due:
            asked = _METHODS.get(method, f"authentication method {method}")
            raise NotScram(f"the server asks for {asked}")
        if method == _SASL:
            offered = data[4:].decode("ascii", errors="replace").rstrip("\0").split("\0")
            mechanisms = [each for each in offered if each in _SCRAM_MECHANISMS]
            if not mechanisms:
                raise NotScram(f"the server offers {', '.join(offered)}")
            data = data[:4] + b"".join(each.encode() + b"\0" for each in mechanisms) + b"\0"
        self._seen += 1
        super().handle_AUTHENTICATION_REQUEST(data, context)


class DatabaseSession:
    """Statements on one connection, each in its own transaction."""

    def __init__(self, connection: Connection) -> None:
        """Wrap a connection that `Server.session` opened."""
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
            raise SqlError(*_sqlstate_and_message(error)) from None
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
    """Where the server is, and the authorities that may have signed its certificate."""

    host: str
    port: int
    ca_pem: str = field(repr=False)

    @contextmanager
    def session(
        self, user: str, password: str, database: str = MAINTENANCE_DATABASE, *, only_scram: bool = False
    ) -> Iterator[DatabaseSession]:
        """A session of `user`, by a password or an IAM token.

        Args:
            user: The role.
            password: Its password or token; RDS takes a token in clear text, inside of TLS.
            database: The database.
            only_scram: Whether the password is proved by SCRAM-SHA-256 and never sent.

        Raises:
            Unreachable, TlsRefused, LoginRefused, NotScram, NoSuchDatabase: there is none.
            FailedError, RefusedError: the server refuses otherwise, for example because it starts up.
            SqlError: it refuses the session's settings.
        """
        connection = self._connect(user, password, database, _ScramConnection if only_scram else Connection)
        try:
            session = DatabaseSession(connection)
            # A user of the database may have made objects with the names of the catalogues' own.
            session.run("SET search_path = pg_catalog")
            session.run(f"SET lock_timeout = '{LOCK_SECONDS}s'")
            session.run(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
            yield session
        finally:
            # A broken connection cannot be closed in PostgreSQL's protocol.
            with suppress(InterfaceError, OSError):
                connection.close()

    def _connect(self, user: str, password: str, database: str, kind: type[Connection]) -> Connection:
        where = f"{self.host}:{self.port}"
        secured = self._secure_socket()
        secured.settimeout(STATEMENT_SECONDS + _ANSWER_MARGIN_SECONDS)
        try:
            return kind(
                user,
                sock=secured,
                ssl_context=False,  # it is TLS already
                database=database,
                password=password,
                application_name="passwordless-postgres",
            )
        except (NotScram, ScramException) as error:
            raise NotScram(
                f"no login to {where} as {user}: {error}; the password is proved by SCRAM-SHA-256 alone, to "
                "a server that knows it"
            ) from None
        except DatabaseError as error:
            raise _login_error(error, f"{where} as {user}, database {database}") from None
        except (InterfaceError, OSError) as error:
            raise FailedError(f"{where} broke the login of {user} off: {error}") from error

    def _secure_socket(self) -> ssl.SSLSocket:
        """A connection over at least TLS 1.2, with a certificate for the host by one of the authorities."""
        where = f"{self.host}:{self.port}"
        context = _tls_context(self.ca_pem)
        try:
            plain = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        except OSError as error:
            raise Unreachable(f"cannot reach {where}: {error}") from error
        try:
            plain.sendall(SSL_REQUEST)
            answer = plain.recv(1)
            if answer == _SSL_REFUSED:
                raise TlsRefused(f"TLS with {where} refused: the server has none")
            if answer != _SSL_ACCEPTED:
                raise FailedError(f"{where} answers the request for TLS with {answer!r}")
            return context.wrap_socket(plain, server_hostname=self.host)
        except ssl.SSLError as error:
            raise TlsRefused(f"TLS with {where} refused: {error}") from error
        except OSError as error:
            raise FailedError(f"{where} broke the connection off: {error}") from error
        finally:
            # After the handshake the TLS socket owns the descriptor, and this closes nothing.
            plain.close()


def _tls_context(ca_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca_pem)
    except ssl.SSLError as error:
        raise TlsRefused(f"server-ca.pem holds no certificates: {error}") from error
    return context


def _sqlstate_and_message(error: DatabaseError) -> tuple[str, str]:
    """SQLSTATE, and message with detail and hint."""
    fields: dict[str, str] = error.args[0]
    parts: Sequence[tuple[str, str]] = (("", "M"), ("DETAIL: ", "D"), ("HINT: ", "H"))
    message = " ".join(label + fields[code] for label, code in parts if code in fields)
    return fields.get("C", "XX000"), message


def _login_error(error: DatabaseError, where: str) -> Exception:
    sqlstate, message = _sqlstate_and_message(error)
    text = f"{where}: {message} (SQLSTATE {sqlstate})"
    if sqlstate.startswith(_INVALID_AUTHORIZATION):
        return LoginRefused(f"login refused by {text}")
    if sqlstate == _NO_SUCH_DATABASE:
        return NoSuchDatabase(f"login refused by {text}")
    kind = FailedError if is_transient(sqlstate) else RefusedError
    return kind(f"no login to {text}")
