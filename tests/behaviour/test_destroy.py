"""A stack is destroyed, made again and destroyed again, as its data allows."""

from __future__ import annotations

from typing import Any

import pytest

from engine import installation as engine
from engine.progress import Progress
from engine.session import EngineSession
from sandbox import resident
from sandbox.deployment import PART, STACK
from sandbox.state import open_state
from tests.behaviour.conftest import RunningSandbox, discard, make_sandbox


def destroy(sandbox: RunningSandbox) -> None:
    """`pulumi destroy`."""
    state, progress = open_state(sandbox.state, print), Progress()
    addresses = resident.ensure(state, progress)
    session = EngineSession(
        engine=engine.ensure(progress),
        stack=STACK,
        root=state.root,
        part=PART,
        providers=addresses.providers,
        aws=resident.operator_environment(state, addresses),
    )
    configuration = session.folder / "Pulumi.sandbox.yaml"
    session.command(
        "destroy", "--yes", "--skip-preview", "--stack", STACK, "--config-file", str(configuration)
    )


@pytest.mark.long
def test_a_stack_can_be_destroyed_and_made_again_more_than_once() -> None:
    sandbox = make_sandbox(17, "selfManaged", "rds")

    def keep_a_snapshot(section: dict[str, Any]) -> None:
        section["backup"]["finalSnapshot"] = True

    sandbox.edit(keep_a_snapshot, section="rds")
    try:
        for times in (1, 2):
            sandbox.deployed()
            destroy(sandbox)
            assert len(list((sandbox.state / "snapshots").glob("rds-*"))) == times
    finally:
        discard(sandbox)
