"""`python -m tools.roles_bench PROGRAMS` measures roles: 1,000 applied by node, and their pg_hba.conf.

PROGRAMS is the folder with PostgreSQL's programs of one release. Roles are applied to a new server, beside
the bare statements, which nothing checks, on another. Both servers write to the disk as in production, and
are removed again. Absolute numbers are valid for this machine and this moment only.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator.postgresql_server.server_user import server_user
from node.layout import Layout
from node.roles import Roles
from node.server_user import ServerUser
from node.sql import Sql
from postgres.access import hba_rules
from postgres.declaration import Database, Declaration, Grant, Role
from postgres.hba_analysis import analyse_hba
from postgres.hba_parser import parse_hba
from postgres.hba_rendering import render_hba
from postgres.identifiers import MAINTENANCE_DATABASE, SUPERUSER
from postgres.roles import statements

ROLES = 1000
NETWORKS = 3
PORT = 5432
_HOUR = 3600


def declaration() -> Declaration:
    """`ROLES` roles with privileges on the tables that one more role creates, each in its networks."""
    usage = Grant(database="app", schema="public", on="schema", privileges=("usage",))
    tables = Grant(database="app", schema="public", on="tables", privileges=("select", "insert"))
    creates = Grant(database="app", schema="public", on="schema", privileges=("usage", "create"))
    named = [("migrator", (creates,)), *((f"role_{number}", (usage, tables)) for number in range(ROLES))]
    return Declaration(
        administrator="pgpl_admin",
        databases=(Database(name="app"),),
        roles=tuple(
            Role(
                name=name,
                connection_limit=10,
                databases=("app",),
                grants=grants,
                networks=tuple(
                    f"10.{number // 250}.{number % 250}.{64 * each}/26" for each in range(NETWORKS)
                ),
            )
            for number, (name, grants) in enumerate(named)
        ),
    )


@contextmanager
def _server(binaries: Path) -> Iterator[tuple[Path, Sql]]:
    user = ServerUser.named(server_user().name)
    folder = Path(tempfile.mkdtemp(prefix="pgpl-"))
    data = folder / "data"
    shutil.chown(folder, user.uid, user.gid)
    pg_ctl = [binaries / "pg_ctl", "--pgdata", data, "--wait", "--silent"]
    try:
        user.must(
            binaries / "initdb", "--pgdata", data, f"--username={SUPERUSER}", "--auth=trust", "--no-sync"
        )
        # Nobody but the server's user enters the folder of the socket.
        options = f"-c listen_addresses='' -c port={PORT} -c unix_socket_directories={folder}"
        user.must(*pg_ctl, "start", "--log", folder / "log", "--options", options)
        yield folder, Sql(binaries=binaries, user=user, socket_directory=folder, port=PORT)
    finally:
        user.run([*pg_ctl, "stop", "--mode=immediate"])
        shutil.rmtree(folder)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _bare(sql: Sql, wanted: Declaration, major: int) -> None:
    # In the order of `reconcile`: first what the maintenance database is for.
    steps = sorted(statements(wanted, None, major), key=lambda step: step.database != MAINTENANCE_DATABASE)
    for (database, executor), group in itertools.groupby(
        steps, key=lambda step: (step.database, step.as_role)
    ):
        role = SUPERUSER if executor == "superuser" else wanted.administrator
        script = "".join(f"{step.sql};\n" for step in group)
        sql.run_each(script, database=database, role=role, timeout=_HOUR)


def main(arguments: list[str]) -> int:
    """Print the measurements."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    binaries = Path(arguments[0])
    version = subprocess.run([binaries / "postgres", "-V"], capture_output=True, text=True, check=True).stdout
    major = int(version.split()[-1].split(".")[0])
    wanted = declaration()
    text = render_hba(hba_rules(wanted), major)
    parsed = parse_hba(text, major)
    analysis = _seconds(lambda: analyse_hba(parsed, major))
    print(f"pg_hba.conf of {len(parsed):,} rules: analysed in {analysis:.2f} s", flush=True)
    with _server(binaries) as (_, sql):
        bare = _seconds(lambda: _bare(sql, wanted, major))
    with _server(binaries) as (folder, sql):
        layout = Layout(folder / "machine")
        layout.journal.parent.mkdir(parents=True)
        roles = Roles(layout=layout, sql=sql, major=major)
        first, unchanged = (_seconds(lambda: roles.apply(wanted)) for _ in range(2))
    print(
        f"{ROLES:,} roles: applied in {first:.1f} s, {first / bare:.2f} times the bare statements "
        f"({bare:.1f} s); {unchanged:.1f} s where nothing differs"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
