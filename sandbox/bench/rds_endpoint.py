"""The throughput of the sandbox's RDS endpoint: pgbench and logins through it and past it."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from emulator.rds.configuration import SOCKET_PORT
from engine.errors import CommandError
from engine.progress import Progress
from node.short_path import socket_directory
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
    token = TokenSource(
        host=database.host,
        port=database.port,
        user=ADMINISTRATOR,
        region=database.region or "",
        session=stack.aws.session(),
        known_endpoint=True,
    )
    through = {
        "host": database.host,
        "port": database.port,
        "user": ADMINISTRATOR,
        "sslmode": "verify-full",
        "sslrootcert": str(bundle),
        "gssencmode": "disable",
    }
    # The server trusts IAM users on its private socket: the endpoint has verified their token.
    direct = {"host": str(socket_directory(home / "socket")), "port": SOCKET_PORT, "user": ADMINISTRATOR}
    pgbench = _program(stack, "pgbench")
    short = max(seconds // 4, 1)
    with _bench_database(through, token) as name:
        _run(pgbench, direct, "-i", "-q", "-s", str(SCALE), name)
        for label, options in (("select", ["-S"]), ("tpcb-like", [])):
            with progress.step(f"bench {label}") as step:
                run = ["--no-vacuum", *options, "-c", str(CLIENTS), "-j", "2", "-T"]
                value, errors = _rate(
                    _run(pgbench, {**through, "password": token()}, *run, str(seconds), name)
                )
                floor, _ = _rate(_run(pgbench, direct, *run, str(short), name))
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
            logins = _per_second(lambda: _connect(through, name, token()).close(), short)
            measured = Measurement(
                name="new connections with cached tokens, one client",
                value=logins,
                floor=_per_second(lambda: _connect(direct, name).close(), short),
                floor_name="new connections on the server's own socket",
                unit="connections/s",
            )
            step.result = measured.summary()
        yield measured


def _program(stack: Stack, name: str) -> Path:
    if stack.psql is None:
        raise CommandError(f"The stack's context names no psql, so {name} cannot be found. Run `make up`.")
    return Path(stack.psql).parent / name


def _connect(route: Mapping[str, Any], database: str, token: str | None = None) -> psycopg.Connection[Any]:
    return psycopg.connect(**route, dbname=database, password=token, autocommit=True)


@contextmanager
def _bench_database(route: Mapping[str, Any], token: TokenSource) -> Iterator[str]:
    name = f"bench_{secrets.token_hex(4)}"
    with _connect(route, "postgres", token()) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield name
    finally:
        with _connect(route, "postgres", token()) as connection:
            # FORCE would need the right to end an autovacuum worker, which DROP DATABASE ends by itself.
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def _run(pgbench: Path, route: Mapping[str, Any], *arguments: str) -> str:
    """Run pgbench on a route, which it gets as libpq's variables, since an argument must not hold a token."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    variables = {f"PG{keyword.upper()}": str(value) for keyword, value in route.items()}
    answer = subprocess.run(
        [pgbench, *arguments],
        env={**inherited, **variables},
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


def _per_second(action: Callable[[], object], seconds: int) -> float:
    count, start = 0, time.monotonic()
    while time.monotonic() < start + seconds:
        action()
        count += 1
    return count / (time.monotonic() - start)
