"""Settings that somebody set beside the served files: ALTER SYSTEM, ALTER ROLE and ALTER DATABASE, options.

What overrides a setting of ours is taken back. Everything else is reported and left alone. Values are never
reported: some are secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node.drift import Finding
from node.layout import Layout
from node.pristine import Pristine
from node.server_user import ServerUser
from node.sql import Sql, SqlError
from postgres.identifiers import quote_identifier
from runtime.errors import FailedError

_QUERY = """
SELECT 'loaded', extract(epoch FROM pg_conf_load_time())::text,
       (pg_conf_load_time() > pg_postmaster_start_time())::text, pg_is_in_recovery()::text
UNION ALL
SELECT 'file', coalesce(name, ''), coalesce(error, ''), ''
  FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf'
UNION ALL
SELECT 'source', name, source, ''
  FROM pg_settings WHERE source IN ('command line', 'environment variable')
UNION ALL
SELECT 'session', entry, coalesce(rolname, ''), coalesce(datname, '')
  FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS entry
  LEFT JOIN pg_roles ON pg_roles.oid = setrole LEFT JOIN pg_database ON pg_database.oid = setdatabase
 WHERE split_part(entry, '=', 1) = ANY ({names});
"""
_LARGEST_BYTES = 1_000_000
# Debian's pg_ctlcluster starts every server with these.
_OPTIONS_OF_THE_START = {"config_file", "external_pid_file"}
# As ALTER SYSTEM writes it: a name, and a value in quotes.
_ENTRY = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.$]*)\s*=?\s*'(?:[^'\\]|''|\\.)*'\s*")


@dataclass(frozen=True, kw_only=True)
class SessionSetting:
    """A setting of a role, of a database, or of a role in a database."""

    name: str
    value: str
    role: str
    database: str

    def statement(self, action: str) -> str:
        """`ALTER ROLE … SET name`, or RESET."""
        role, database = map(quote_identifier, (self.role or "-", self.database or "-"))
        if not self.role:
            return (
                f"ALTER DATABASE {database} {action} {self.name}"
                if self.database
                else (f"ALTER ROLE ALL {action} {self.name}")
            )
        place = f" IN DATABASE {database}" if self.database else ""
        return f"ALTER ROLE {role}{place} {action} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the running server says about its settings.

    Attributes:
        loaded: `pg_conf_load_time`, seconds since 1970.
        reloaded: whether it read its files again after its start.
        in_recovery: whether it only follows another server.
        auto: names in postgresql.auto.conf.
        auto_error: why the server cannot read that file; empty if it can.
        options: names set by the command line or the environment.
        session: settings of roles and databases that weaken the server.
    """

    loaded: str
    reloaded: bool
    in_recovery: bool
    auto: tuple[str, ...]
    auto_error: str
    options: tuple[str, ...]
    session: tuple[SessionSetting, ...]


def in_words(name: str) -> str:
    """How a finding calls a setting of postgresql.auto.conf."""
    return f"ALTER SYSTEM SET {name}"


def observe(sql: Sql, pristine: Pristine) -> Observed:
    """Ask the server, in one query.

    Raises:
        SqlError, FailedError: as `Sql.run`.
    """
    names = ", ".join(f"'{name}'" for name in sorted(pristine.allowed))
    rows = sql.run(_QUERY.format(names=f"ARRAY[{names}]::text[]"))
    loaded = next(row for row in rows if row[0] == "loaded")
    auto = [(name, error) for kind, name, error, _ in rows if kind == "file"]
    return Observed(
        loaded=loaded[1],
        reloaded=loaded[2] == "true",
        in_recovery=loaded[3] == "true",
        auto=tuple(dict.fromkeys(name for name, _ in auto if name)),
        auto_error=next((error for name, error in auto if not name), ""),
        options=tuple(name for kind, name, _, _ in rows if kind == "source" and name in pristine.owned),
        session=tuple(_weakening(rows, pristine)),
    )


def _weakening(rows: Sequence[Sequence[str]], pristine: Pristine) -> Iterable[SessionSetting]:
    for kind, entry, role, database in rows:
        name, _, value = entry.partition("=")
        if kind == "session" and value.lower() not in pristine.allowed[name]:
            yield SessionSetting(name=name, value=value, role=role, database=database)


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Takes back what overrides settings of ours on one server."""

    layout: Layout
    pristine: Pristine
    user: ServerUser
    held: str = ""
    """Why settings are only reported, those apart that decide on access; empty where they are taken back."""

    def take_back(self, sql: Sql, seen: Observed) -> tuple[list[Finding], bool]:
        """The findings, and whether a reload must follow."""
        findings: list[Finding] = []
        if seen.auto_error:
            findings.append(self._cleaned("postgresql.auto.conf cannot be read"))
        for name in seen.auto:
            what = in_words(name)
            if name.lower() not in self.pristine.owned:
                findings.append(Finding(what=what, state="foreign", why="it is no setting of ours"))
                continue
            if self.held and name.lower() not in self.pristine.access:
                findings.append(Finding(what=what, state="held", why=self.held))
                continue
            try:
                sql.run(f"ALTER SYSTEM RESET {quote_identifier(name)};")
                findings.append(Finding(what=what, state="repaired"))
            except (SqlError, FailedError):
                findings.append(self._cleaned(what))
        changed = any(finding.state == "repaired" for finding in findings)
        for name in sorted(set(seen.options) - _OPTIONS_OF_THE_START):
            why = "it ends when the server is started without this option"
            findings.append(Finding(what=f"{name} on the command line", state="failed", why=why))
        findings += [self._reset(sql, setting, seen) for setting in seen.session]
        return findings, changed

    def clean(self) -> bool:
        """Take them out of the file itself, as the server's user, and tell whether there were any.

        Raises:
            FailedError: it cannot be read or written.
        """
        path = self.layout.data(self.pristine.major) / "postgresql.auto.conf"
        answer = self.user.run(["head", f"--bytes={_LARGEST_BYTES + 1}", path])
        if answer.returncode != 0:
            # initdb makes it, and a server starts without it.
            return False
        if len(answer.stdout) > _LARGEST_BYTES:
            raise FailedError(
                f"{path} has more than {_LARGEST_BYTES} bytes; remove what does not belong there"
            )
        kept = [line for line in answer.stdout.splitlines() if self._may_stay(line)]
        if len(kept) == len(answer.stdout.splitlines()):
            return False
        text = "".join(f"{line}\n" for line in kept)
        script = 'cat > "$1.new" && mv "$1.new" "$1"'
        written = self.user.run(["sh", "-c", script, "sh", path], stdin=text)
        if written.returncode != 0:
            raise FailedError(f"{path}: {written.stderr.strip()}")
        return True

    def _may_stay(self, line: str) -> bool:
        if not line.strip() or line.lstrip().startswith("#"):
            return True
        entry = _ENTRY.fullmatch(line)
        taken_back = self.pristine.access if self.held else self.pristine.owned
        return entry is not None and entry[1].lower() not in taken_back

    def _cleaned(self, what: str) -> Finding:
        try:
            if self.clean():
                return Finding(what=what, state="repaired")
        except FailedError as error:
            return Finding(what=what, state="failed", why=str(error))
        return Finding(what=what, state="failed", why="no line of it can be told to be at fault")

    def _reset(self, sql: Sql, setting: SessionSetting, seen: Observed) -> Finding:
        what = setting.statement("SET")
        if seen.in_recovery:
            return Finding(what=what, state="foreign", why="the server only follows another one")
        if self.held:
            return Finding(what=what, state="held", why=self.held)
        try:
            sql.run(f"SET lock_timeout = '2s';\n{setting.statement('RESET')};")
        except (SqlError, FailedError) as error:
            return Finding(what=what, state="failed", why=str(error))
        return Finding(what=what, state="repaired")
