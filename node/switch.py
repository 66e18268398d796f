"""Switches the running server from one generation to another, and back, by a reload that ends no session."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from node import probe, server_log, server_process
from node.layout import Layout
from node.machine_platform import Platform
from node.sql import Sql
from postgres.identifiers import SUPERUSER
from runtime import files
from runtime.errors import FailedError, RefusedError

RELOAD_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class ServingExpectation:
    """What the server must do on a generation: serve this certificate, refuse these logins without TLS."""

    certificate_sha256: str
    logins: tuple[tuple[str, str], ...]
    """Pairs of role and database."""


@dataclass(frozen=True, kw_only=True)
class Switch:
    """The live server of one major."""

    layout: Layout
    platform: Platform
    major: int

    def sql(self) -> Sql:
        """The live server's local socket.

        Raises:
            FailedError: it does not run.
        """
        process = server_process.find(self.layout.data(self.major))
        if process is None:
            raise FailedError("PostgreSQL does not run")
        return Sql(
            binaries=self.platform.binaries(self.major),
            user=self.platform.user,
            socket_directory=process.socket_directory,
            port=process.port,
        )

    def point(self, generation: str) -> None:
        """Point `current` to the generation; the server reads it at its next reload or start."""
        files.replace_link(self.layout.current, Path("generations") / generation)

    def start(self, generation: str) -> None:
        """Start the stopped server on a generation.

        Raises:
            FailedError: it does not start; with its output.
        """
        self.point(generation)
        self.platform.start(self.major)

    def activate(self, generation: str, expected: ServingExpectation) -> None:
        """Reload the running server on a generation and verify it; undoing is left to the caller.

        Raises:
            RefusedError: the server does not serve what it should.
            FailedError: it cannot be reached.
        """
        mark = server_log.mark(self.layout.logs)
        self.point(generation)
        self.reload()
        try:
            self.verify(expected)
        except RefusedError as error:
            messages = [f"PostgreSQL: {line}" for line in server_log.messages(self.layout.logs, mark)]
            raise RefusedError(*error.problems, *messages) from error

    def reload(self) -> str:
        """Reload, wait until the server has read its files, and return when it did.

        The postmaster reads settings, hba, ident and TLS files in one go and forks nothing
        meanwhile, so a new session that sees the new time comes after all of them.

        Raises:
            RefusedError: the server refuses the configuration file as a whole.
        """
        try:
            before = self.loaded()
        except FailedError:
            # What is loaded lets nobody in, so an answer comes after the reload.
            before = None
        mark = server_log.mark(self.layout.logs)
        self.platform.reload(self.major)
        deadline = time.monotonic() + RELOAD_SECONDS
        while True:
            try:
                after = self.loaded()
            except FailedError:
                if before is not None:
                    raise
                after = None
            if after != before and after is not None:
                return after
            if time.monotonic() > deadline:
                messages = server_log.messages(self.layout.logs, mark)
                raise RefusedError(
                    "PostgreSQL did not accept its configuration file at the reload", *messages
                )
            time.sleep(0.02)

    def loaded(self) -> str:
        """When the server last read its files, seconds since 1970."""
        return self.sql().value("SELECT extract(epoch FROM pg_conf_load_time());")

    def verify(self, expected: ServingExpectation) -> None:
        """Check from the network what the server serves.

        Raises:
            RefusedError: another certificate, or a login without TLS that is not refused.
            FailedError: it cannot be reached.
        """
        problems = self.problems(expected)
        if problems:
            raise RefusedError(*problems)

    def problems(self, expected: ServingExpectation) -> list[str]:
        """What is wrong with what the server serves, seen from the network.

        Raises:
            FailedError: it cannot be reached.
        """
        sql = self.sql()
        live = probe.Probe(host=self.platform.listen_addresses()[0], port=sql.port)
        problems: list[str] = []
        served = live.certificate_sha256()
        if served != expected.certificate_sha256:
            problems.append(
                f"the server serves the certificate {served}, "
                f"not that of the generation, {expected.certificate_sha256}"
            )
        for role, database in ((SUPERUSER, "postgres"), *expected.logins):
            code = live.plaintext_refusal(role, database)
            if code != probe.INVALID_AUTHORIZATION:
                problems.append(
                    f"a login without TLS as {role} to {database} is answered with "
                    f"{code or 'an authentication request'}, not refused with {probe.INVALID_AUTHORIZATION}"
                )
        return problems

    def pending_restart(self) -> tuple[str, ...]:
        """Names of the settings that wait for a restart."""
        rows = self.sql().run("SELECT name FROM pg_settings WHERE pending_restart ORDER BY name;")
        return tuple(row[0] for row in rows)

    def server_version(self) -> str:
        """The running server's version, for example 17.12; the programs on disk may be newer."""
        return self.sql().value("SELECT split_part(current_setting('server_version'), ' ', 1);")
