"""The throughput of the sandbox's RDS endpoint: pgbench and logins through it and past it."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from emulator.rds.configuration import SOCKET_PORT
from engine.errors import CommandError
from engine.progress import Progress
from node.short_path import socket_directory
from pgpasswordless.connections import Database
from pgpasswordless.stack import Stack
from pgpasswordless.tokens import TokenSource
from runtime.files import replace_file
from sandbox.bench.measurement import Measurement
from sandbox.state import State

RDS = "rds"
ADMINISTRATOR = "pgpl_admin"
CLIENTS = 50
SCALE = 10
_RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


def rds_endpoint(stack: Stack, state: State, progress: Progress, seconds: int) -> Iterator[Measurement]:
    """Throughput and logins of the RDS endpoint beside the server behind it.

    Args:
        stack: The sandbox's stack.
        state: The sandbox's state.
        progress: Shows what is being measured.
        seconds: Duration of the long measurements; the short ones take a quarter of it.

    Raises:
        CommandError: A program of PostgreSQL fails.
    """
    database = stack.database(RDS)
    (home,) = state.rds.glob("*/server")
    bundle = state.root / "bench-root.crt"
    replace_file(bundle, database.server_ca.pem)
    with _bench_database(stack, database, bundle) as name:
        through = _Route(environment=_through_endpoint(stack, database, bundle), database=name)
        direct = _Route(environment=_direct(home), database=name)
        programs = _programs(stack)
        _pgbench(programs, direct, "-i", "-q", "-s", str(SCALE))
        for label, options in (("select", ["-S"]), ("tpcb-like", [])):
            with progress.step(f"bench {label}") as step:
                run = [*options, "-c", str(CLIENTS), "-j", "2", "-T"]
                value, errors = _rate(_pgbench(programs, through, *run, str(seconds)))
                floor, _ = _rate(_pgbench(programs, direct, *run, str(max(seconds // 4, 1))))
                measured = Measurement(
                    name=f"pgbench {label}, {CLIENTS} clients through the RDS endpoint",
                    value=value,
                    floor=floor,
                    floor_name="the server behind it, on its own socket",
                    unit="transactions/s",
                    errors=errors,
                )
                step.result = measured.summary()
            yield measured
        with progress.step("bench logins") as step:
            measured = _logins(stack, database, through, direct, max(seconds // 4, 1))
            step.result = measured.summary()
        yield measured


@dataclass(frozen=True, kw_only=True)
class _Route:
    """A route to the server as libpq's variables; its representation hides the token."""

    environment: Mapping[str, str]
    database: str

    def __repr__(self) -> str:
        return f"_Route(database={self.database!r})"


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
    # The server trusts IAM users on its private socket: the endpoint has verified their token.
    return {
        "PGHOST": str(socket_directory(home / "socket")),
        "PGPORT": str(SOCKET_PORT),
        "PGUSER": ADMINISTRATOR,
    }


def _programs(stack: Stack) -> Path:
    if stack.psql is None:
        raise CommandError("The stack's context names no psql, so pgbench cannot be found. Run `make up`.")
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


def _pgbench(programs: Path, way: _Route, *arguments: str) -> str:
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
        raise CommandError(f"pgbench ended with status {answer.returncode}: {answer.stderr.strip()[-2000:]}")
    return answer.stdout


def _rate(output: str) -> tuple[float, int]:
    rate, failed = _RATE.search(output), _FAILED.search(output)
    if rate is None:
        raise CommandError(f"pgbench printed no rate: {output.strip()[-500:]}")
    return float(rate[1]), int(failed[1]) if failed else 0


def _logins(stack: Stack, database: Database, through: _Route, direct: _Route, seconds: int) -> Measurement:
    source = _source(stack, database)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGSSLMODE": "sslmode",
             "PGSSLROOTCERT": "sslrootcert", "PGGSSENCMODE": "gssencmode"}  # fmt: skip

    def keywords(way: _Route) -> dict[str, Any]:
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
