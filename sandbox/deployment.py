"""One deployment: the real engine runs the real program, with the emulator's providers attached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import processes
from engine.errors import CommandError
from engine.events import RunState
from engine.installation import Engine
from engine.progress import Progress, Step
from engine.session import LOG, EngineSession
from runtime.files import replace_file
from sandbox.stack_file import StackFile
from sandbox.state import State

STACK = "sandbox"
PART = "deployment"


class DeploymentError(CommandError):
    """The engine could not deploy the stack; the text contains the engine's errors."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A successful deployment."""

    unchanged: bool
    summary: str
    connections: dict[str, Any]


class Deployment:
    """Deploys one sandbox.

    Args:
        state: Its state folder.
        engine: The engine to use.
        providers: Port of the emulator's provider for each package.
        aws: Variables with which the operator reaches the emulated AWS.
    """

    def __init__(
        self, state: State, engine: Engine, providers: Mapping[str, int], aws: Mapping[str, str]
    ) -> None:
        self._state = state
        self._session = EngineSession(
            engine=engine, stack=STACK, root=state.root, part=PART, providers=providers, aws=aws
        )
        self._checkpoint = self._session.checkpoint

    def up(self, stack_file: StackFile, ports: Mapping[str, int], progress: Progress) -> Deployed:
        """Deploy a stack file.

        Raises:
            CommandError: the engine, the program or a machine refused it.
        """
        with progress.step("deployment") as step:
            self._recover(step)
            copy = self._session.folder / "Pulumi.sandbox.yaml"
            replace_file(
                copy,
                stack_file.completed(
                    ports,
                    self._state.rds_ca_bundle,
                    self._state.public_ca_bundle,
                    self._session.make_stack(),
                ),
            )
            run = self._run(copy, step)
            step.result = run.summary()
        return Deployed(unchanged=run.unchanged, summary=run.summary(), connections=self._connections())

    def _recover(self, step: Step) -> None:
        """Clean up after a killed engine: its processes, its lock, a damaged state, pending operations."""
        self._session.prepare()
        if processes.terminate(processes.find(self._state.root, PART)):
            step.say("deployment: terminated the processes of an earlier one")
        stale_lock = self._checkpoint.has_stale_lock()
        if copy := self._checkpoint.repair():
            step.say(
                f"deployment: an earlier one was killed while writing its state; continuing from {copy.name}"
            )
        if stale_lock and self._checkpoint.file.exists():
            step.say("deployment: an earlier one was killed; releasing its lock")
            self._session.command("cancel", "--yes", "--stack", STACK)
        if self._checkpoint.has_pending_operations():
            step.say("deployment: an earlier one was killed while waiting; repeating its pending operations")
            self._remove_pending_operations()

    def _remove_pending_operations(self) -> None:
        # The next run repeats them; the emulator recognises by its URN what they have already created.
        file = self._session.folder / "export.json"
        try:
            self._session.command("stack", "export", "--stack", STACK, "--file", str(file))
            document = json.loads(file.read_text())
            document["deployment"]["pending_operations"] = []
            replace_file(file, json.dumps(document))
            self._session.command("stack", "import", "--stack", STACK, "--file", str(file))
        finally:
            file.unlink(missing_ok=True)

    def _run(self, configuration: Path, step: Step) -> RunState:
        state = RunState(step=step)
        result = self._session.run(
            *("up", "--yes", "--skip-preview"),
            configuration=configuration,
            state=state,
            on_interrupt=lambda: step.say(
                "deployment: interrupted; the engine finishes what it has begun (interrupt again to kill it)"
            ),
        )
        if result.status != 0:
            raise DeploymentError(
                f"The deployment failed.\n{result.error_text()}\nFull log: {self._state.root / LOG}"
            )
        return state

    def _connections(self) -> dict[str, Any]:
        """The stack's connections document."""
        document = self._checkpoint.output("connections")
        if not isinstance(document, dict):
            raise DeploymentError("The stack's output `connections` is not a document.")
        return document
