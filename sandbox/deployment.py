"""One deployment: the real engine on the real program, with the sandbox's providers attached."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import processes
from engine.errors import CommandError
from engine.events import Account
from engine.installation import Engine
from engine.progress import Progress, Step
from engine.project import CHECKOUT
from engine.session import EngineCommandError, EngineSession
from runtime.files import replace_file
from sandbox.stack_file import StackFile
from sandbox.state import State

STACK = "sandbox"
PART = "deployment"


class DeploymentError(CommandError):
    """The engine did not bring the stack to what was asked; the text is in the engine's words."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A deployment that went well."""

    unchanged: bool
    summary: str
    connections: dict[str, Any]


class Deployment:
    """Deploys one sandbox.

    Args:
        state: its state folder.
        engine: the engine to use.
        providers: port of the stand-in for each package.
        aws: environment of the operator on the sandbox's AWS.
    """

    def __init__(
        self, state: State, engine: Engine, providers: Mapping[str, int], aws: Mapping[str, str]
    ) -> None:
        """See the class."""
        self._state = state
        self._session = EngineSession(
            engine=engine,
            stack=STACK,
            project=CHECKOUT,
            root=state.root,
            part=PART,
            folder=state.pulumi,
            log=state.engine_log,
            providers=providers,
            aws=aws,
        )
        self._checkpoint = self._session.checkpoint

    def up(self, stack_file: StackFile, ports: Mapping[str, int], progress: Progress) -> Deployed:
        """Bring the stack to what the file says.

        Raises:
            DeploymentError: the engine or the program refused, or the machine did.
        """
        try:
            with progress.step("deployment") as step:
                self._mend(step)
                salt = self._make_stack()
                copy = self._state.pulumi / "Pulumi.sandbox.yaml"
                replace_file(
                    copy,
                    stack_file.completed(
                        ports, self._state.rds_ca_bundle, self._state.public_ca_bundle, salt
                    ),
                )
                account = self._run(copy, step)
                step.result = account.summary()
            return Deployed(
                unchanged=account.unchanged, summary=account.summary(), connections=self._connections()
            )
        except EngineCommandError as error:
            raise DeploymentError(str(error)) from error

    def _mend(self, step: Step) -> None:
        """Make good what a killed engine has left: processes, a lock, operations without an end."""
        self._session.prepare()
        if processes.end(processes.ours(self._state.root, PART)):
            step.say("deployment: ended what was left of an earlier one")
        stale_lock = self._checkpoint.has_stale_lock()
        if copy := self._checkpoint.mend():
            step.say(
                f"deployment: an earlier one was killed while it wrote its state; going on from {copy.name}"
            )
        if stale_lock and self._checkpoint.exists():
            step.say("deployment: an earlier one was killed; releasing its lock")
            self._session.command("cancel", "--yes", "--stack", STACK)
        if self._checkpoint.has_pending_operations():
            step.say("deployment: an earlier one was killed while it waited; its open operations begin anew")
            self._forget_pending_operations()
        # The engine keeps a log of every run for ever.
        shutil.rmtree(self._state.pulumi / "home" / "logs", ignore_errors=True)

    def _forget_pending_operations(self) -> None:
        # What such an operation has made is adopted by its next attempt: the stand-ins know it by its URN.
        file = self._state.pulumi / "export.json"
        try:
            self._session.command("stack", "export", "--stack", STACK, "--file", str(file))
            document = json.loads(file.read_text())
            document["deployment"]["pending_operations"] = []
            replace_file(file, json.dumps(document))
            self._session.command("stack", "import", "--stack", STACK, "--file", str(file))
        finally:
            file.unlink(missing_ok=True)

    def _make_stack(self) -> str:
        """Make the stack if there is none; the salt that its stack file must carry."""
        salt = self._session.make_stack()
        if salt is None:
            raise DeploymentError(
                f"The engine's state {self._checkpoint.file} has no salt for its passphrase. "
                "Begin anew with `make clean`."
            )
        return salt

    def _run(self, configuration: Path, step: Step) -> Account:
        account = Account(step=step)
        ended = self._session.run(
            *("up", "--yes", "--skip-preview"),
            configuration=configuration,
            account=account,
            interrupted=lambda: step.say(
                "deployment: interrupted, the engine ends what it has begun (again to force it)"
            ),
        )
        if ended.status != 0:
            raise DeploymentError(
                f"The deployment failed.\n{ended.words()}\n"
                f"The engine's whole account: {self._state.engine_log}"
            )
        return account

    def _connections(self) -> dict[str, Any]:
        """The stack's connections document."""
        text = self._session.command("stack", "output", "connections", "--json", "--stack", STACK)
        document = json.loads(text)
        if not isinstance(document, dict):
            raise DeploymentError("The stack has no output `connections` that is a document.")
        return document
