"""SQL over the local socket, with the psql of the server's release, so that node needs no driver."""

from __future__ import annotations

import csv
import io
import itertools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.server_user import ServerUser
from postgres.identifiers import SUPERUSER
from postgres.protocol import is_transient
from postgres.reconciliation import LOCK_SECONDS
from runtime.errors import FailedError

SCRIPT_ERROR = 3  # psql's exit status when ON_ERROR_STOP ended a script
_ERROR = re.compile(
    r"^(?:psql:<stdin>:(?P<line>\d+): )?(?:ERROR|FATAL):  (?P<sqlstate>[0-9A-Z]{5}): (?P<text>.*)$"
)


class SqlError(Exception):
    """The server refused a statement. `line` counts from 1 within the script that was run."""

    def __init__(self, sqlstate: str, message: str, line: int) -> None:
        """Keep the server's message and its SQLSTATE."""
        self.sqlstate = sqlstate
        self.line = line
        super().__init__(f"{message} (SQLSTATE {sqlstate})")

    @property
    def passing(self) -> bool:
        """Whether the same statement may succeed later."""
        return is_transient(self.sqlstate)


@dataclass(frozen=True, kw_only=True)
class Sql:
    """One server's local socket. Peer authentication maps the server's OS user to both roles."""

    binaries: Path
    user: ServerUser
    socket_directory: Path
    port: int

    def run(
        self, script: str, *, database: str = "postgres", role: str = SUPERUSER, timeout: float = 60
    ) -> list[list[str]]:
        """Run statements, each in its own transaction; the rows of all of them, NULL as empty text.

        Raises:
            SqlError: a statement is refused; those before it stay done.
            FailedError: the server cannot be reached.
        """
        answer = self._psql(script, database, role, timeout, stop=True)
        if answer.returncode == SCRIPT_ERROR:
            errors = list(_script_errors(answer.stderr))
            raise errors[0] if errors else SqlError("XX000", answer.stderr.strip(), 0)
        return list(csv.reader(io.StringIO(answer.stdout)))

    def run_each(self, script: str, *, database: str, role: str, timeout: float = 60) -> list[SqlError]:
        """Run statements, each in its own transaction, whatever becomes of the others; what was refused.

        Raises:
            FailedError: the server cannot be reached.
        """
        return list(_script_errors(self._psql(script, database, role, timeout, stop=False).stderr))

    def _psql(
        self, script: str, database: str, role: str, timeout: float, *, stop: bool
    ) -> subprocess.CompletedProcess[str]:
        answer = self.user.run(
            [
                self.binaries / "psql",
                "--no-psqlrc",
                "--quiet",
                "--csv",
                "--tuples-only",
                "--no-password",
                f"--set=ON_ERROR_STOP={int(stop)}",
                "--set=VERBOSITY=verbose",
                "--set=SHOW_CONTEXT=never",
                f"--host={self.socket_directory}",
                f"--port={self.port}",
                f"--username={role}",
                f"--dbname={_connection_string(database)}",
                "--file=-",
            ],
            stdin=f"SET client_min_messages = warning;\n{script}",
            timeout=timeout,
        )
        if answer.returncode not in (0, SCRIPT_ERROR):
            raise FailedError(f"the server's local socket: {answer.stderr.strip()}")
        return answer

    def value(self, query: str) -> str:
        """The first column of the query's first row.

        Raises:
            SqlError, FailedError: as `run`.
        """
        return self.run(query)[0][0]


def _connection_string(database: str) -> str:
    # psql reads a bare name with `=` in it as a connection string.
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    # A user of the database may have made objects with the names of the catalogues' own.
    options = f"-c search_path=pg_catalog -c lock_timeout={LOCK_SECONDS}s"
    named = "application_name=passwordless-postgres connect_timeout=10"
    return f"dbname='{escaped}' {named} options='{options}'"


def _script_errors(output: str) -> Iterator[SqlError]:
    lines = output.splitlines()
    for number, line in enumerate(lines):
        found = _ERROR.match(line)
        if found:
            following = itertools.takewhile(lambda text: not _ERROR.match(text), lines[number + 1 :])
            details = [text for text in following if text.startswith(("DETAIL:", "HINT:"))]
            message = " ".join([found["text"], *details])
            # `_psql` adds a line before the script.
            yield SqlError(found["sqlstate"], message, int(found["line"] or 1) - 1)
