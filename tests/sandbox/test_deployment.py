"""A deployment with the real engine on a small program: success, no change, refusal, kill."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from emulator.postgresql_server.server_user import server_user
from engine import processes, session
from engine.installation import ENGINE_VARIABLE, Engine, examine
from engine.progress import Progress
from sandbox.deployment import Deployed, Deployment, DeploymentError
from sandbox.stack_file import StackFile
from sandbox.state import State

PROGRAM = """
import os, sys, time
import pulumi
from pulumi import dynamic

class Provider(dynamic.ResourceProvider):
    serialize_as_secret_always = False
    def create(self, props):
        print("waiting for the machine", file=sys.stderr, flush=True)
        while os.path.exists(props["hold"]):
            time.sleep(0.05)
        return dynamic.CreateResult("id", props)

class Report(dynamic.Resource):
    def __init__(self, name, hold):
        super().__init__(Provider(), name, {"hold": hold})

if pulumi.Config().get("refuse"):
    raise pulumi.RunError("line 3 of pg_hba.conf lets everybody in")
Report("report", os.environ["HOLD"])
pulumi.export("connections", {"stack": "sandbox", "foreign": os.environ.get("AWS_PROFILE", "none")})
"""


@pytest.fixture(scope="module")
def engine(pulumi: Path) -> Engine:
    return examine(pulumi.parent, ENGINE_VARIABLE)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(
        "name: passwordless-postgres\n"
        f"runtime: {{name: python, options: {{toolchain: pip, virtualenv: {sys.prefix}}}}}\n"
    )
    (folder / "__main__.py").write_text(PROGRAM)
    monkeypatch.setattr(session, "CHECKOUT", folder)
    monkeypatch.setenv("AWS_PROFILE", "the-users-own")
    return folder


@pytest.fixture
def state(tmp_path: Path) -> State:
    root = tmp_path / "state"
    root.mkdir()
    return State(root=root, nominal=root, user=server_user())


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def deploy(engine: Engine, project: Path, state: State, output: io.StringIO) -> Callable[..., Deployed]:
    progress = Progress(Console(file=output, highlight=False, soft_wrap=True))

    def run(**config: str) -> Deployed:
        deployment = Deployment(state, engine, {}, {"HOLD": str(state.root / "hold")})
        keys = {f"passwordless-postgres:{key}": value for key, value in config.items()}
        return deployment.up(
            StackFile(path=Path("stack"), document={"config": keys}), {"postgresql": 20001}, progress
        )

    return run


def test_a_stack_is_made_then_unchanged_then_refused(deploy, state: State, output: io.StringIO) -> None:
    first = deploy()
    assert not first.unchanged
    assert first.connections == {"stack": "sandbox", "foreign": "none"}
    assert "  waiting for the machine\n" in output.getvalue()
    again = deploy()
    assert again.unchanged
    assert again.summary == "unchanged, 2 resources"
    with pytest.raises(DeploymentError) as caught:
        deploy(refuse="1")
    assert "error: line 3 of pg_hba.conf lets everybody in\n" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert processes.find(state.root) == []


KILLED = """
import sys
from pathlib import Path
from engine import session
from sandbox import deployment
from engine.progress import Progress
from engine.installation import examine
from emulator.postgresql_server.server_user import server_user
from sandbox.stack_file import StackFile
from sandbox.state import State
project, root, engine = map(Path, sys.argv[1:])
session.CHECKOUT = project
state = State(root=root, nominal=root, user=server_user())
deployment.Deployment(state, examine(engine, ""), {}, {"HOLD": str(root / "hold")}).up(
    StackFile(path=root, document={"config": {}}), {}, Progress()
)
"""


def test_after_kill_9_of_the_whole_process_group_the_next_one_ends_green(
    deploy, engine: Engine, project: Path, state: State, output: io.StringIO
) -> None:
    (state.root / "hold").touch()
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, project, state.root, engine.folder],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert killed.stderr is not None
    for line in killed.stderr:
        if "waiting for the machine" in line:
            break
    # The engine writes that it has begun before it tells the provider.
    checkpoint = state.root / "pulumi/backend/.pulumi/stacks/passwordless-postgres/sandbox.json"
    while not json.loads(checkpoint.read_text())["checkpoint"]["latest"].get("pending_operations"):
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert processes.find(state.root) != []
    (state.root / "hold").unlink()
    assert deploy().summary in ("2 created", "1 created, 1 unchanged")
    assert "repeating its pending operations" in output.getvalue()
    assert "releasing its lock" in output.getvalue()
    assert processes.find(state.root) == []
