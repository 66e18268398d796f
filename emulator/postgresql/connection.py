"""Connections of one provider instance, with its arguments as pulumi-postgresql takes them."""

from __future__ import annotations

import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from pydantic import Field

from emulator.core.model import ResourceModel
from emulator.core.resource_type import Refused

Statement = sql.SQL | sql.Composed | LiteralString

SSL_MODES = ("disable", "require", "verify-ca", "verify-full")


class ClientCertificate(ResourceModel):
    """Certificate and key of the administrator: file paths, or PEM text when `inline`."""

    certificate: str = Field(validation_alias="cert")
    key: str = Field(repr=False)
    inline: bool = Field(default=False, validation_alias="sslinline")


class ProviderArguments(ResourceModel):
    """Arguments of a provider instance with the real provider's defaults.

    Attributes:
        connect_timeout: Seconds.
        superuser: Whether the provider may read `pg_shadow`; it does not make the user one.
        max_connections: Most connections to one database at a time; 0 is unlimited.
        database_username: Role that owns what is made, where it differs from the login.
    """

    host: str = "localhost"
    port: int = 5432
    username: str = "postgres"
    password: str = Field(default="", repr=False)
    database: str = "postgres"
    sslmode: str = "require"
    sslrootcert: str = ""
    clientcert: ClientCertificate | None = None
    connect_timeout: int = 180
    superuser: bool = True
    max_connections: int = 20
    database_username: str = ""

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> ProviderArguments:
        """From the arguments as the engine sends them."""
        sslmode = configuration.get("sslmode") or configuration.get("sslMode")
        return cls.declared({**configuration, "sslmode": sslmode})


class Server:
    """The server that one provider instance administers."""

    def __init__(self, arguments: ProviderArguments, obstacle: str | None = None) -> None:
        """Does not connect yet. With an obstacle it never does: the error of a session says so."""
        self.arguments = arguments
        self._obstacle = obstacle
        self._slots: defaultdict[str, threading.Semaphore] = defaultdict(self._new_slots)
        self._lock = threading.Lock()

    def _new_slots(self) -> threading.Semaphore:
        return threading.Semaphore(self.arguments.max_connections or 1_000_000)

    @property
    def owner(self) -> str:
        """The role that owns what this instance makes."""
        return self.arguments.database_username or self.arguments.username

    @contextmanager
    def session(self, database: str | None = None, *, autocommit: bool = False) -> Iterator[Session]:
        """A connection to a database (default: the provider's), committed at the end unless an error left it.

        Raises:
            Refused: The server cannot be reached, refuses the login, or reports an error within.
        """
        name = database or self.arguments.database
        with self._lock:
            slots = self._slots[name]
        with slots:
            connection = self._connect(name, autocommit=autocommit)
            try:
                with connection:
                    yield Session(connection, self)
            except psycopg.Error as error:
                raise Refused(describe(error)) from error

    def _connect(self, database: str, *, autocommit: bool) -> psycopg.Connection:
        arguments = self.arguments
        if self._obstacle is not None:
            raise Refused(f"error connecting to PostgreSQL server {arguments.host}: {self._obstacle}")
        with tempfile.TemporaryDirectory(prefix="postgresql-client-") as folder:
            parameters = {
                "host": arguments.host,
                "port": arguments.port,
                "user": arguments.username,
                "password": arguments.password or None,
                "dbname": database,
                "sslmode": arguments.sslmode,
                "connect_timeout": arguments.connect_timeout,
                "gssencmode": "disable",
                "passfile": "/dev/null",
                "application_name": "pulumi-postgresql",
                **self._certificate_parameters(Path(folder)),
            }
            try:
                return psycopg.connect(autocommit=autocommit, **parameters)
            except psycopg.Error as error:
                raise Refused(
                    f"error connecting to PostgreSQL server {arguments.host}:{arguments.port} as "
                    f"{arguments.username!r}, database {database!r}, "
                    f"sslmode {arguments.sslmode}: {error}".strip()
                ) from error

    def _certificate_parameters(self, folder: Path) -> dict[str, str]:
        arguments = self.arguments
        certificate = arguments.clientcert
        given = {"sslrootcert": arguments.sslrootcert}
        if certificate is not None:
            given |= {"sslcert": certificate.certificate, "sslkey": certificate.key}
        given = {name: value for name, value in given.items() if value}
        if certificate is None or not certificate.inline:
            return given
        if arguments.sslrootcert and "-----BEGIN CERTIFICATE-----" not in arguments.sslrootcert:
            raise Refused(
                "couldn't parse pem from sslrootcert: with clientcert.sslinline=true it must be PEM text, "
                "not a path"
            )
        for name, text in given.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(text)
        return {name: str(folder / name) for name in given}


class Session:
    """An open connection, with the questions that several resources ask."""

    def __init__(self, connection: psycopg.Connection, server: Server) -> None:
        self.connection = connection
        self.server = server

    def run(self, statement: Statement, *values: Any) -> None:
        self.connection.execute(statement, values or None)

    def execute(self, template: LiteralString, *parts: str | sql.Composable) -> None:
        """Executes a statement; each `{}` in it becomes a name, which is quoted, or SQL as it is."""
        quoted = (sql.Identifier(part) if isinstance(part, str) else part for part in parts)
        self.run(sql.SQL(template).format(*quoted))

    def rows(self, statement: Statement, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, values or None).fetchall()

    def value(self, statement: Statement, *values: Any) -> Any:
        """First column of the first row, None without one."""
        row = self.connection.execute(statement, values or None).fetchone()
        return row[0] if row else None

    @property
    def current_user(self) -> str:
        return self.value("SELECT current_user")

    def is_superuser(self, role: str) -> bool:
        """Whether a role is one; False when it does not exist."""
        return bool(self.value("SELECT rolsuper FROM pg_roles WHERE rolname = %s", role))

    def role_exists(self, role: str) -> bool:
        """Whether a role exists; `public` always does."""
        return role == "public" or self.value("SELECT 1 FROM pg_roles WHERE rolname = %s", role) is not None

    def database_exists(self, database: str) -> bool:
        return self.value("SELECT 1 FROM pg_database WHERE datname = %s", database) is not None

    def schema_exists(self, schema: str) -> bool:
        """Whether a schema exists in this database."""
        return self.value("SELECT 1 FROM pg_namespace WHERE nspname = %s", schema) is not None

    def lock_role(self, role: str) -> None:
        """Waits until no other resource works on this role or its members.

        The real provider takes the same locks: grants to unrelated roles run side by side and may fail with
        "tuple concurrently updated".
        """
        self.run("SET LOCAL statement_timeout = 0")
        self.run("SELECT pg_advisory_xact_lock(oid::bigint) FROM pg_roles WHERE rolname = %s", role)
        self.run(
            "SELECT pg_advisory_xact_lock(member::bigint) FROM pg_auth_members "
            "JOIN pg_roles ON roleid = pg_roles.oid WHERE rolname = %s",
            role,
        )

    def lock_database(self, database: str) -> None:
        """Waits until no other resource works on this database."""
        self.run("SET LOCAL statement_timeout = 0")
        self.run("SELECT pg_advisory_xact_lock(oid::bigint) FROM pg_database WHERE datname = %s", database)


def describe(error: psycopg.Error) -> str:
    """A server's error as the real provider shows it: `pq: message`, with detail and hint."""
    diagnostic = error.diag
    parts = [f"pq: {diagnostic.message_primary}" if diagnostic.message_primary else str(error).strip()]
    parts.extend(text for text in (diagnostic.message_detail, diagnostic.message_hint) if text)
    return ". ".join(part.rstrip(".") for part in parts)
