"""`make bench`: what things cost, as ratios to a floor that is measured in the same run.

Absolute numbers are of this machine and this moment; the ratios are what to compare. The measurements
use a running sandbox, leave nothing in it, and fail no test.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from node.short_path import socket_directory
from pgpasswordless.connections import Database
from pgpasswordless.stack import Stack, load
from pgpasswordless.tokens import TokenSource
from sandbox.console import Progress
from sandbox.deployment import STACK
from sandbox.errors import SandboxError
from sandbox.rds.configuration import SOCKET_PORT
from sandbox.state import State, replace_file

RDS = "rds"
ADMINISTRATOR = "pgpl_admin"
CLIENTS = 50
SCALE = 10
_RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One thing beside its floor.

    Attributes:
        name: What was measured.
        value: How much of it, in `unit`.
        floor: How much of the floor.
        floor_name: What the floor is.
        unit: Such as transactions per second.
        errors: Failures among what was measured.
    """

    name: str
    value: float
    floor: float
    floor_name: str
    unit: str
    errors: int = 0

    @property
    def ratio(self) -> float:
        """Share of the floor that is reached."""
        return self.value / self.floor


def bench(state: State, progress: Progress, seconds: int) -> list[Measurement]:
    """Measure, and keep the result in the state folder as bench.json.

    Args:
        state: A sandbox that runs.
        progress: Where to say what is being measured.
        seconds: How long the long measurements take; the short ones a quarter of it.

    Raises:
        SandboxError: The sandbox has no RDS instance, or a program of PostgreSQL fails.
    """
    stack = load(STACK)
    if RDS not in stack.connections.databases:
        raise SandboxError("The sandbox has no RDS instance to measure; deploy one with `make up`.")
    database = stack.database(RDS)
    (home,) = (state.root / "rds").glob("*/server")
    measured = []
    bundle = state.root / "bench-root.crt"
    replace_file(bundle, database.server_ca.pem)
    with _bench_database(stack, database, bundle) as name:
        through = _Way(environment=_through_endpoint(stack, database, bundle), database=name)
        direct = _Way(environment=_direct(home), database=name)
        programs = _programs(stack)
        _pgbench(programs, direct, "-i", "-q", "-s", str(SCALE))
        for label, options in (("select", ["-S"]), ("tpcb-like", [])):
            with progress.step(f"bench {label}") as step:
                run = [*options, "-c", str(CLIENTS), "-j", "2", "-T"]
                value, errors = _rate(_pgbench(programs, through, *run, str(seconds)))
                floor, _ = _rate(_pgbench(programs, direct, *run, str(max(seconds // 4, 1))))
                measured.append(
                    Measurement(
                        name=f"pgbench {label}, {CLIENTS} clients through the RDS endpoint",
                        value=value,
                        floor=floor,
                        floor_name="the server behind it, on its own socket",
                        unit="transactions/s",
                        errors=errors,
                    )
                )
                step.result = _said(measured[-1])
        with progress.step("bench logins") as step:
            measured.append(_logins(stack, database, through, direct, max(seconds // 4, 1)))
            step.result = _said(measured[-1])
    document = {
        "schemaVersion": 1,
        "measurements": [{**asdict(each), "ratio": round(each.ratio, 4)} for each in measured],
    }
    replace_file(state.root / "bench.json", json.dumps(document, indent=2) + "\n")
    return measured


def as_text(measured: list[Measurement]) -> list[str]:
    """The measurements for people."""
    return [f"{each.name}: {_said(each)}" for each in measured]


def _said(measured: Measurement) -> str:
    errors = f", {measured.errors} errors" if measured.errors else ", no error"
    return (
        f"{measured.ratio:.2f} of {measured.floor_name} "
        f"({measured.value:.0f} to {measured.floor:.0f} {measured.unit}{errors})"
    )


@dataclass(frozen=True, kw_only=True)
class _Way:
    """A way to the server, as libpq's environment; holds a token, so it is never shown."""

    environment: Mapping[str, str]
    database: str

    def __repr__(self) -> str:
        return f"_Way(database={self.database!r})"


def _source(stack: Stack, database: Database) -> TokenSource:
    return TokenSource(
        host=database.host,
        port=database.port,
        user=ADMINISTRATOR,
        region=database.region or "",
        session=stack.aws.session(),
    )


def _through_endpoint(stack: Stack, database: Database, bundle: Path) -> dict[str, str]:
    return {
        "PGHOST": database.host,
        "PGPORT": str(database.port),
        "PGUSER": ADMINISTRATOR,
        "PGPASSWORD": _source(stack, database)(),
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(bundle),
        "PGGSSENCMODE": "disable",
    }


def _direct(home: Path) -> dict[str, str]:
    # On the server's private socket, IAM users are those whose token the endpoint has verified.
    return {
        "PGHOST": str(socket_directory(home / "socket")),
        "PGPORT": str(SOCKET_PORT),
        "PGUSER": ADMINISTRATOR,
    }


def _programs(stack: Stack) -> Path:
    if stack.psql is None:
        raise SandboxError("The stack's context names no psql, beside which pgbench would be; run `make up`.")
    return Path(stack.psql).parent


@contextmanager
def _bench_database(stack: Stack, database: Database, bundle: Path) -> Iterator[str]:
    name = f"bench_{secrets.token_hex(4)}"
    source = _source(stack, database)

    def administrator() -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=database.host,
            port=database.port,
            user=ADMINISTRATOR,
            password=source(),
            dbname="postgres",
            sslmode="verify-full",
            sslrootcert=str(bundle),
            gssencmode="disable",
            autocommit=True,
        )

    with administrator() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield name
    finally:
        with administrator() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _pgbench(programs: Path, way: _Way, *arguments: str) -> str:
    answer = subprocess.run(
        [
            programs / "pgbench",
            "--no-vacuum" if arguments[0] != "-i" else "--quiet",
            *arguments,
            way.database,
        ],
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("PG")},
            **way.environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise SandboxError(f"pgbench ended with status {answer.returncode}: {answer.stderr.strip()[-2000:]}")
    return answer.stdout


def _rate(output: str) -> tuple[float, int]:
    rate, failed = _RATE.search(output), _FAILED.search(output)
    if rate is None:
        raise SandboxError(f"pgbench printed no rate: {output.strip()[-500:]}")
    return float(rate[1]), int(failed[1]) if failed else 0


def _logins(stack: Stack, database: Database, through: _Way, direct: _Way, seconds: int) -> Measurement:
    source = _source(stack, database)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGSSLMODE": "sslmode",
             "PGSSLROOTCERT": "sslrootcert", "PGGSSENCMODE": "gssencmode"}  # fmt: skip

    def keywords(way: _Way) -> dict[str, Any]:
        return {
            **{names[key]: value for key, value in way.environment.items() if key in names},
            "dbname": way.database,
        }

    by_token, floor = keywords(through), keywords(direct)
    value = _per_second(lambda: psycopg.connect(**by_token, password=source()).close(), seconds)
    return Measurement(
        name="new connections with cached tokens, one client",
        value=value,
        floor=_per_second(lambda: psycopg.connect(**floor).close(), seconds),
        floor_name="new connections on the server's own socket",
        unit="connections/s",
    )


def _per_second(action: Callable[[], object], seconds: int) -> float:
    count, start = 0, time.monotonic()
    while time.monotonic() < start + seconds:
        action()
        count += 1
    return count / (time.monotonic() - start)
