"""The launcher, run as the timer runs it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from artifacts.node import node_artifact
from artifacts.sources import launcher_sources

# Every instance ever made runs these bytes for its whole life, and a change replaces instances.
PINNED = "7397737b0ee8e056576900e90b9e9281fc4f9697827d569349e464b3a2d5ec24"


def artifact(main: str) -> bytes:
    """A node that is only a main program."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("__main__.py", main)
    return buffer.getvalue()


class Timer:
    """Publishes nodes and runs the launcher."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self.launcher = machine.root / "opt/passwordless-postgres/launcher"
        for name, text in launcher_sources("node").items():
            path = self.launcher / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def publish(self, node: bytes, **changes: str) -> None:
        self.machine.publish(node=self.machine.put("node/node.zip", node) | changes)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", self.launcher],
            env=os.environ | {"PASSWORDLESS_POSTGRES_ROOT": str(self.machine.root)} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture
def timer(machine_of: Callable[..., Any]) -> Timer:
    return Timer(machine_of(17))


def test_the_launcher_is_small_and_does_not_change() -> None:
    content = "".join(launcher_sources("node").values()).encode()
    assert len(content) < 10_000
    assert hashlib.sha256(content).hexdigest() == PINNED


def test_installs_verifies_and_runs_the_named_node(timer: Timer) -> None:
    timer.publish(artifact("import sys; print('first', sys.argv[1]); sys.exit(0)"))
    answer = timer.run()
    assert (answer.returncode, answer.stdout) == (0, "first apply\n")


def test_an_installed_node_runs_without_network(timer: Timer) -> None:
    timer.publish(artifact("print('here'); raise SystemExit(75)"))
    timer.run()
    answer = timer.run(AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert (answer.returncode, answer.stdout) == (75, "here\n")


@pytest.mark.parametrize(
    "end", ["raise SystemExit(66)", "raise ImportError('broken')", "import os; os.abort()"]
)
def test_a_node_that_asks_for_another_or_breaks_is_replaced(end: str, timer: Timer) -> None:
    timer.publish(artifact(end))
    assert timer.run().returncode != 0
    timer.publish(artifact("print('second')"))
    answer = timer.run()
    assert (answer.returncode, answer.stdout) == (0, "second\n")


def test_a_damaged_installation_is_fetched_again(timer: Timer) -> None:
    timer.publish(artifact("print('whole')"))
    timer.run()
    (installed,) = (timer.machine.root / "opt/passwordless-postgres/node").glob("*.zip")
    installed.write_bytes(installed.read_bytes()[:-5])
    assert timer.run().stdout == "whole\n"


def test_a_tampered_node_is_not_run(timer: Timer) -> None:
    timer.publish(artifact("print('evil')"), sha256="1" * 64)
    answer = timer.run()
    assert (answer.returncode, answer.stdout) == (75, "")
    assert "no node to run: BootstrapError: node/node.zip has SHA-256" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_no_desired_state_yet_is_no_traceback(timer: Timer) -> None:
    answer = timer.run()
    assert answer.returncode == 75
    assert "manifest.json answers 404" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_real_artifact_applies_and_reports_its_digest(machine_of: Callable[..., Any]) -> None:
    timer = Timer(machine_of(17, blank=True))
    node = node_artifact().content
    timer.publish(node)
    answer = timer.run()
    assert answer.returncode == 0, answer.stderr
    report = timer.machine.report()
    assert report["outcome"] == "applied"
    assert report["nodeSha256"] == hashlib.sha256(node).hexdigest()
    again = timer.run()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert json.dumps(timer.machine.report()) == json.dumps(report)


def test_a_run_without_a_change_imports_neither_sdk_nor_pydantic(timer: Timer) -> None:
    timer.publish(node_artifact().content)
    assert timer.run().returncode == 0
    (installed,) = (timer.machine.root / "opt/passwordless-postgres/node").glob("*.zip")
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", installed, "apply"],
        env=os.environ | {"PASSWORDLESS_POSTGRES_ROOT": str(timer.machine.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0
    imported = {line.rsplit("|", 1)[-1].strip() for line in answer.stderr.splitlines()}
    assert "node.apply" in imported
    assert not imported & {"boto3", "botocore", "pydantic", "cryptography"}
