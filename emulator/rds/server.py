"""An instance's PostgreSQL: its data, its start and end, the roles that RDS has."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
from psycopg import sql

from emulator.postgresql_server.postmasters import postmasters, stop_postmasters
from emulator.rds.configuration import (
    SOCKET_PORT,
    missing_libraries,
    pg_hba_conf,
    pg_ident_conf,
    postgresql_conf,
)
from emulator.rds.model import ADMINISTRATOR, IAM_ROLE, Instance
from node.server_user import ServerUser
from node.short_path import make_socket_directory, remove_stand_in, socket_directory
from runtime import files
from runtime.errors import FailedError

START_SECONDS = 60
RELOAD_SECONDS = 10.0
_POLL_SECONDS = 0.02
_LIBRARY_FOLDERS = ("lib", "lib/postgresql")
# What the endpoint does as RDS itself stays out of the log, a password's verifier above all.
_UNLOGGED = "-c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic"
_ROLES = ("rds_superuser", IAM_ROLE, "rds_extension", "rds_password", "rds_replication")
_OF_SUPERUSER = ("pg_monitor", "pg_signal_backend", "pg_checkpoint", "pg_read_all_data", *_ROLES[2:])
GRANT_OPTIONS_SINCE = 16


class ServerError(Exception):
    """PostgreSQL or one of its programs failed; the text is its own message."""


class Server:
    """One PostgreSQL, on a socket that only the endpoint reaches.

    Args:
        folder: The instance's folder.
        binaries: Programs of its release.
    """

    def __init__(self, folder: Path, binaries: Path, user: ServerUser) -> None:
        self._binaries = binaries
        self._user = user
        self._home = folder / "server"
        self.data = self._home / "data"
        self.log = self._home / "log"
        self.socket = socket_directory(self._home / "socket")

    @property
    def process(self) -> psutil.Process | None:
        found = postmasters(self._home) if self._home.exists() else []
        return found[0] if found else None

    def initialise(self) -> None:
        """Makes an empty data directory, in place of one that a kill left incomplete.

        Raises:
            ServerError: initdb fails or is missing.
        """
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)
        for folder in (self._home, self.log):
            self._user.make_directory(folder)
        self._run(
            *("initdb", "--pgdata", self.data, f"--username={ADMINISTRATOR}", "--encoding=UTF8"),
            *("--locale=C.UTF-8", "--auth-local=peer", "--auth-host=reject"),
            *("--no-instructions", "--no-sync"),
        )

    def configure(self, instance: Instance, authentication_seconds: float) -> None:
        """Writes what the server reads when it starts or reloads."""
        own = pwd.getpwuid(os.geteuid()).pw_name
        texts = {
            "postgresql.conf": postgresql_conf(
                instance, self.socket, self.log, authentication_seconds, self._libraries()
            ),
            "pg_hba.conf": pg_hba_conf(instance),
            "pg_ident.conf": pg_ident_conf({own, self._user.name}),
        }
        for name, text in texts.items():
            files.replace_file(self.data / name, text, owner=self._user.owner)

    def lacking(self, instance: Instance) -> list[str]:
        """Libraries that the parameter group preloads but that are missing."""
        return missing_libraries(instance.parameters.applied, self._libraries())

    def start(self) -> None:
        """Starts it unless it runs, and waits until it answers.

        Raises:
            ServerError: It does not start.
        """
        if self.process is not None:
            return
        try:
            make_socket_directory(self.socket, self._user)
        except FailedError as error:
            raise ServerError(str(error)) from error
        self._wait_for_reaper()
        for left in self.socket.glob(".s.PGSQL.*"):
            # Nothing runs on the data, so these are left over; their process number may be another's by now.
            left.unlink()
        self._run(
            *("pg_ctl", "start", "--pgdata", self.data, "--silent", "--wait", "--timeout", START_SECONDS),
            *("--log", self.log / "startup.log"),
        )

    def stop(self) -> None:
        """Stops it: sessions get its FATAL, data is written.

        Raises:
            RuntimeError: It does not end.
        """
        stop_postmasters(self._home)

    def reload(self) -> None:
        """Reloads the configuration, and waits until new sessions have it.

        Raises:
            ServerError: It does not within 10 s.
        """
        process = self.process
        if process is None:
            return
        before = self._configuration_time()
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + RELOAD_SECONDS
        while self._configuration_time() <= before:
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not reload its configuration in {RELOAD_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def remove(self) -> None:
        """Stops it and removes its data.

        Raises:
            RuntimeError: It does not end.
        """
        self.stop()
        remove_stand_in(self._home / "socket")
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def connection(self) -> dict[str, Any]:
        """Arguments for psycopg with which RDS itself connects."""
        return {
            "host": str(self.socket),
            "port": SOCKET_PORT,
            "user": ADMINISTRATOR,
            "dbname": ADMINISTRATOR,
            "connect_timeout": 5,
            "options": _UNLOGGED,
            "application_name": ADMINISTRATOR,
            "autocommit": True,
        }

    def prepare(self, instance: Instance) -> None:
        """Creates the roles and databases that every instance has; safe to repeat.

        Raises:
            ServerError: The server refuses, for example a reserved name.
        """
        with self._connected("postgres") as connection:
            present = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in _ROLES:
                if role not in present:
                    connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            if instance.master not in present:
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(instance.master)))
            for role in _OF_SUPERUSER:
                self._grant(connection, role, "rds_superuser", "WITH ADMIN OPTION")
            self._grant(connection, "rds_superuser", instance.master, "WITH ADMIN OPTION")
            if instance.major >= GRANT_OPTIONS_SINCE:
                # The right to grant the role, without being what makes its members log in by token.
                self._grant(
                    connection, IAM_ROLE, instance.master, "WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
                )
            attributes = sql.SQL("ALTER ROLE {} LOGIN CREATEDB CREATEROLE VALID UNTIL 'infinity'")
            connection.execute(attributes.format(sql.Identifier(instance.master)))
            databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for database in (ADMINISTRATOR, instance.database):
                if database and database not in databases:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
            for database in {"postgres", "template1", instance.database} - {None}:
                owner = sql.SQL("ALTER DATABASE {} OWNER TO {}")
                names = sql.Identifier(str(database)), sql.Identifier(instance.master)
                connection.execute(owner.format(*names))

    def set_password(self, role: str, password: str) -> None:
        """Sets a role's password; the server sees only its verifier.

        Raises:
            ServerError: The server refuses.
        """
        with self._connected() as connection:
            verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(verifier.decode())))

    def _grant(self, connection: psycopg.Connection[Any], role: str, member: str, how: LiteralString) -> None:
        statement = sql.SQL("GRANT {} TO {} {}")
        names = sql.Identifier(role), sql.Identifier(member)
        connection.execute(statement.format(*names, sql.SQL(how)))

    @contextmanager
    def _connected(self, database: str = ADMINISTRATOR) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(**{**self.connection, "dbname": database}) as connection:
                yield connection
        except psycopg.Error as error:
            raise ServerError(f"PostgreSQL refuses: {error}") from error

    def _configuration_time(self) -> Any:
        with self._connected() as connection:
            return (connection.execute("SELECT pg_conf_load_time()").fetchone() or (None,))[0]

    def _wait_for_reaper(self) -> None:
        """Waits for the number of a killed server to be free: PostgreSQL takes it for one that runs."""
        deadline = time.monotonic() + START_SECONDS
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            left = psutil.Process(int((self.data / "postmaster.pid").read_text().splitlines()[0]))
            while left.status() == psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)

    def _libraries(self) -> set[str]:
        prefix = self._binaries.parent
        return {file.stem for folder in _LIBRARY_FOLDERS for file in (prefix / folder).glob("*.so")}

    def _run(self, program: str, *arguments: object) -> None:
        # The user's clean environment lacks what marks processes of the sandbox that end with it.
        try:
            answer = self._user.run(
                [self._binaries / program, *map(str, arguments)], timeout=2 * START_SECONDS
            )
        except FailedError as error:
            raise ServerError(str(error)) from error
        if answer.returncode != 0:
            said = answer.stderr.strip() or answer.stdout.strip() or f"ended with {answer.returncode}"
            raise ServerError(f"{program}: {said}\n{self._last_words()}".strip())

    def _last_words(self) -> str:
        logs = sorted(self.log.glob("*.log"), key=lambda log: log.stat().st_mtime)
        return "\n".join(logs[-1].read_text(errors="replace").splitlines()[-8:]) if logs else ""
