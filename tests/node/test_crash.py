"""A run that dies anywhere is repaired by the next one, and clients do not notice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.apply import DONE
from node.deployment import Deployment
from runtime import files

CHECKOUT = Path(__file__).parents[2]


class KilledError(BaseException):
    """Ends a run as a kill would: nothing in node handles it."""


def killed_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, count: int) -> list[str]:
    """Kill the run at the `count`th call of a function; returns the list of calls."""
    original = getattr(owner, name)
    calls: list[str] = []

    def deadly(*arguments: Any, **named: Any) -> Any:
        calls.append(str(arguments[:2]))
        if len(calls) == count:
            raise KilledError
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, deadly)
    return calls


def test_first_apply_survives_a_kill_before_every_stage(machine_of: Callable[..., Any]) -> None:
    machine = machine_of(18, blank=True)
    machine.publish()
    count = 0
    for count in range(1, 20):
        with pytest.MonkeyPatch.context() as monkeypatch:
            killed_before(monkeypatch, Deployment, "stage", count)
            try:
                assert machine.apply() == DONE
                break
            except KilledError:
                continue
    assert count > 8
    assert machine.report()["outcome"] == "applied"
    machine.connect().close()
    machine.stop()


@pytest.mark.parametrize(
    ("owner", "name", "every"),
    [(Deployment, "stage", 1), (files, "replace_file", 4), (files, "replace_link", 1)],
)
def test_a_change_survives_a_kill_at_every_step(owner: Any, name: str, every: int, serving: Any) -> None:
    status = None
    serving.desired.roles = ("app_user", "report_user")
    serving.publish()
    with serving.logging_in() as client:
        for count in range(1, 60, every):
            with pytest.MonkeyPatch.context() as monkeypatch:
                killed_before(monkeypatch, owner, name, count)
                try:
                    status = serving.apply()
                    break
                except KilledError:
                    continue
    assert status == DONE
    assert client.failures == []
    assert serving.superuser("SELECT count(*) FROM pg_roles WHERE rolname = 'report_user';") == [["1"]]


@pytest.mark.parametrize("stage", ["switching the configuration", "recording"])
def test_a_refused_state_after_a_kill_returns_to_the_applied_one(
    stage: str, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = serving.layout.current_generation()
    serving.desired.networks = ("127.0.0.0/24", "::1/128", "203.0.113.0/24")
    serving.desired.roles = ("app_user", "lost_user")
    serving.publish()
    original = Deployment.stage

    def deadly(self: Deployment, name: str) -> None:
        original(self, name)
        if name == stage:
            raise KilledError

    monkeypatch.setattr(Deployment, "stage", deadly)
    with pytest.raises(KilledError):
        serving.apply()
    monkeypatch.undo()
    serving.desired.extra_hba = "host app app_user 127.0.0.1/32 trust"
    serving.publish()
    serving.apply()
    assert serving.report()["outcome"] == "refused"
    assert serving.layout.current_generation() == applied
    hba = serving.superuser("SELECT address FROM pg_hba_file_rules WHERE address LIKE '203%';")
    assert hba == []
    assert serving.superuser("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'lost_user';") == [["f"]]
    serving.connect().close()


def test_real_kills_at_random_moments(serving: Any) -> None:
    seed = random.randrange(1_000_000)  # noqa: S311 - moments of kills
    print(f"seed {seed}")
    moments = random.Random(seed)  # noqa: S311
    command = [sys.executable, "-m", "node", "apply"]
    environment = {"PASSWORDLESS_POSTGRES_ROOT": str(serving.root)}
    with serving.logging_in() as client:
        for _ in range(3):
            serving.publish()
            run = subprocess.Popen(
                ["env", *(f"{key}={value}" for key, value in environment.items()), *command], cwd=CHECKOUT
            )
            deadline = time.monotonic() + moments.uniform(0.5, 3)
            while time.monotonic() < deadline and run.poll() is None:
                time.sleep(0.01)
            run.send_signal(signal.SIGKILL)
            run.wait()
        assert serving.apply() == DONE
    assert client.failures == []
