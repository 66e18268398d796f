"""`make up` killed at random moments comes back, with its data."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.behaviour.conftest import RunningSandbox, discard, make_sandbox
from tests.behaviour.rds_sandbox import RdsServer

# A first `up` takes about this long; moments are drawn from it.
SPAN_SECONDS = 20.0


@pytest.fixture
def new_sandbox() -> Iterator[RunningSandbox]:
    """A sandbox that was never deployed, with both servers, as `make up` has it."""
    sandbox = make_sandbox(17, "selfManaged", "rds")
    try:
        yield sandbox
    finally:
        discard(sandbox)


def kill_during_up(sandbox: RunningSandbox, moment: float) -> int | None:
    """Start `up` in a process group of its own and kill that group after `moment` seconds.

    Returns the exit status where it ended before that, None where it was killed.
    """
    process = subprocess.Popen(
        sandbox.command("up", "--stack-file", str(sandbox.stack_file)),
        env=sandbox.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def kill_and_recover(sandbox: RunningSandbox, kills: int) -> None:
    """Kill `up` at random moments, and after each see that the next `up` is green and a client gets in."""
    seed = int(os.environ.get("PASSWORDLESS_POSTGRES_SEED", str(time.time_ns() % 1_000_000)))
    print(f"PASSWORDLESS_POSTGRES_SEED={seed}")
    moments = random.Random(seed)  # noqa: S311  moments to kill at, not keys
    for number in range(kills):
        if number % 4 == 0:
            # Every fourth time from nothing, where most things happen.
            sandbox.clean()
            span = SPAN_SECONDS
        else:
            networks = ["127.0.0.1/32", "::1/128"][: 1 + number % 2]
            sandbox.edit(
                lambda settings, networks=networks: settings["roles"]["app_user"].update(networks=networks)
            )
            span = SPAN_SECONDS / 3
        moment = moments.uniform(0.2, span)
        status = kill_during_up(sandbox, moment)
        print(f"kill {number + 1} after {moment:.1f} s: {'killed' if status is None else 'had ended'}")
        sandbox.deployed()
        with sandbox.login("app_user", sandbox.client_files("app_user"), host="localhost") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with RdsServer(sandbox=sandbox).login("app_user") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.sandbox
def test_killed_at_a_random_moment(new_sandbox: RunningSandbox) -> None:
    kill_and_recover(new_sandbox, 1)


@pytest.mark.sandbox
@pytest.mark.long
def test_killed_at_twenty_random_moments(new_sandbox: RunningSandbox) -> None:
    kill_and_recover(new_sandbox, 20)
