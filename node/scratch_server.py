"""A server of the same programs, on a private socket, that must accept a generation before it goes live.

`pg_hba_file_rules` and its siblings read only a server's own file, and a reload hides errors that a start
shows.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node import cluster, machine_file, server_log, server_process, short_path
from node.layout import Layout
from node.machine_platform import Platform
from node.sql import Sql
from postgres.postgresql_conf import parse_postgresql_conf
from runtime import files
from runtime.errors import FailedError, RefusedError

START_SECONDS = 60
OUT_OF_RESOURCES = (
    "No space left on device",
    "Cannot allocate memory",
    "could not create shared memory segment",
)
"""What the server writes when the machine lacks resources and the configuration is not at fault."""

# Where the scratch server must differ: its log is read from a file, it needs neither much memory nor
# durability, and it must not archive anything.
_OVERRIDES = {
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "",
    "fsync": "off",
    "autovacuum": "off",
    "archive_mode": "off",
    "shared_buffers": "16MB",
    "huge_pages": "off",
    "cluster_name": "scratch",
}

_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [0-9:.]+ \w+ \[\d+\] ")
_NOISE = (
    "LOG:  starting PostgreSQL",
    "LOG:  listening on",
    "LOG:  database system was",
    "LOG:  database system is",
)

_FAULTS = """
SELECT format('postgresql.conf line %s: %s: %s', sourceline, name, error)
  FROM pg_file_settings WHERE error IS NOT NULL
UNION ALL
SELECT format('pg_hba.conf line %s: %s', line_number, coalesce(error, 'PostgreSQL takes no method from it'))
  FROM pg_hba_file_rules WHERE error IS NOT NULL OR auth_method IS NULL
UNION ALL
SELECT format('pg_ident.conf line %s: %s', line_number, error)
  FROM pg_ident_file_mappings WHERE error IS NOT NULL
UNION ALL
SELECT 'ssl is off' WHERE current_setting('ssl') <> 'on';
"""


@dataclass(frozen=True, kw_only=True)
class ScratchServer:
    """The scratch server of one major; its empty data directory is kept between runs."""

    layout: Layout
    platform: Platform
    major: int

    @property
    def _home(self) -> Path:
        return self.layout.scratch / str(self.major)

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _configuration(self) -> Path:
        return self._home / "postgresql.conf"

    @property
    def _socket_directory(self) -> Path:
        return short_path.socket_directory(self._wanted_socket_directory)

    @property
    def _wanted_socket_directory(self) -> Path:
        return self._home / "socket"

    def make(self, fresh: Path | None) -> None:
        """Make its data directory; from a copy of `fresh`, on which no server has ever run, if that is given.

        Raises:
            FailedError: the machine lacks resources.
        """
        self.layout.make_home()
        user = self.platform.user
        user.make_directory(self._home)
        if fresh is not None and not self._data.exists():
            cluster.copy_fresh(fresh, self._data, user)
        cluster.initialise(self._data, self.platform.binaries(self.major), user)

    def prove(self, generation: Path) -> None:
        """Start on the generation's files, and let PostgreSQL check them.

        Raises:
            RefusedError: PostgreSQL rejects them; with all of its messages.
            FailedError: the machine lacks resources.
        """
        self._configure(generation)
        self._parse(generation)
        with self._running() as sql:
            faults = [row[0] for row in sql.run(_FAULTS)]
        if faults:
            raise RefusedError(*faults)

    def _configure(self, generation: Path) -> None:
        user = self.platform.user
        short_path.make_socket_directory(self._socket_directory, user)
        settings = machine_file.machine_settings(
            generation=generation,
            data=self._data,
            listen_addresses=(),
            socket_directory=self._socket_directory,
            logs=self._home,
        )
        text = machine_file.rendered(generation, settings | _OVERRIDES)
        files.replace_file(self._configuration, text, owner=user.owner)

    def _parse(self, generation: Path) -> None:
        postgres = [self.platform.binaries(self.major) / "postgres", "-D", self._data]
        option = f"--config-file={self._configuration}"
        answer = self.platform.user.run([*postgres, option, "-C", "data_directory"])
        if answer.returncode == 0:
            return
        # PostgreSQL stops at the first error; one run per setting finds them all.
        settings = parse_postgresql_conf(files.read_file(generation / "postgresql.conf").decode())
        alone = (
            self.platform.user.run([*postgres, "-C", name, "-c", f"{name}={value}"])
            for name, value in settings.items()
        )
        faults = [line for one in alone if one.returncode != 0 for line in _messages(one.stderr)]
        raise RefusedError(*(faults or _messages(answer.stderr)))

    @contextmanager
    def _running(self) -> Iterator[Sql]:
        user = self.platform.user
        pg_ctl = self.platform.binaries(self.major) / "pg_ctl"
        stop = [pg_ctl, "stop", "--wait", "-D", self._data, "-m", "immediate"]
        log = self._home / "start.log"
        files.remove_file(log)
        if server_process.find(self._data):
            user.run(stop)
        server_process.remove_stale_locks(self._data, self._socket_directory)
        options = shlex.join(["-c", f"config_file={self._configuration}"])
        start = [pg_ctl, "start", "--wait", "-t", str(START_SECONDS), "-D", self._data, "-l", log]
        answer = user.run([*start, "-o", options], timeout=START_SECONDS + 30)
        try:
            process = server_process.find(self._data)
            if answer.returncode != 0 or process is None:
                output = server_log.start_log(log) or answer.stderr
                if any(sign in output for sign in OUT_OF_RESOURCES):
                    raise FailedError(f"scratch server: {output.strip()}")
                raise RefusedError(*_messages(output))
            yield Sql(
                binaries=self.platform.binaries(self.major),
                user=user,
                socket_directory=self._socket_directory,
                port=process.port,
            )
        finally:
            user.run(stop)
            short_path.remove_stand_in(self._wanted_socket_directory)


def _messages(log: str) -> list[str]:
    lines = [_PREFIX.sub("", line).strip() for line in log.splitlines()]
    messages = [line for line in lines if line and not line.startswith(_NOISE)]
    return [f"PostgreSQL: {line}" for line in messages] or ["PostgreSQL rejects it and does not say why"]
