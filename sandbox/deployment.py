"""One deployment: the real engine on the real program, with the sandbox's providers attached."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import processes
from sandbox.checkpoint import Checkpoint
from sandbox.console import Progress, Step
from sandbox.engine import Engine
from sandbox.engine_events import Account, EventLog, plain
from sandbox.errors import SandboxError
from sandbox.stack_file import PROJECT, StackFile
from sandbox.state import CHECKOUT, State, replace_file

STACK = "sandbox"
PART = "deployment"
POLL_SECONDS = 0.1
STOPPING_SECONDS = 60
# Credentials and endpoints of the user's own AWS must not reach a program that runs on loopback.
FOREIGN = ("AWS_", "PULUMI_")


class DeploymentError(SandboxError):
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
        self._engine = engine
        self._checkpoint = Checkpoint(backend=state.pulumi / "backend", project=PROJECT, stack=STACK)
        own = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        self._environment = {
            **processes.marked_environment(state.root, PART, own),
            **aws,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PATH": engine.search_path(os.environ.get("PATH", os.defpath)),
            "PULUMI_HOME": str(state.pulumi / "home"),
            "PULUMI_BACKEND_URL": f"file://{state.pulumi / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(state.pulumi / "passphrase"),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            # Every provider is attached; without this the engine looks for plugins to download.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # The event log is behind this switch; the Automation API uses both.
            "PULUMI_DEBUG_COMMANDS": "1",
            "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package, port in providers.items()),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def up(self, stack_file: StackFile, ports: Mapping[str, int], progress: Progress) -> Deployed:
        """Bring the stack to what the file says.

        Raises:
            DeploymentError: the engine or the program refused, or the machine did.
        """
        with progress.step("deployment") as step:
            self._mend(step)
            salt = self._make_stack()
            copy = self._state.pulumi / "Pulumi.sandbox.yaml"
            replace_file(copy, stack_file.completed(ports, self._state.rds_ca_bundle, salt))
            account = self._run(copy, step)
            step.result = account.summary()
        return Deployed(
            unchanged=account.unchanged, summary=account.summary(), connections=self._connections()
        )

    def _mend(self, step: Step) -> None:
        """Make good what a killed engine has left: processes, a lock, operations without an end."""
        for folder in (self._state.pulumi, self._state.pulumi / "backend"):
            folder.mkdir(mode=0o700, exist_ok=True)
        passphrase = self._state.pulumi / "passphrase"
        if not passphrase.exists():
            replace_file(passphrase, secrets.token_urlsafe(32) + "\n")
        if processes.end(processes.ours(self._state.root, PART)):
            step.say("deployment: ended what was left of an earlier one")
        stale_lock = self._checkpoint.has_stale_lock()
        if copy := self._checkpoint.mend():
            step.say(
                f"deployment: an earlier one was killed while it wrote its state; going on from {copy.name}"
            )
        if stale_lock and self._checkpoint.exists():
            step.say("deployment: an earlier one was killed; releasing its lock")
            self._pulumi("cancel", "--yes", "--stack", STACK)
        if self._checkpoint.has_pending_operations():
            step.say("deployment: an earlier one was killed while it waited; its open operations begin anew")
            self._forget_pending_operations()
        # The engine keeps a log of every run for ever.
        shutil.rmtree(self._state.pulumi / "home" / "logs", ignore_errors=True)

    def _forget_pending_operations(self) -> None:
        # What such an operation has made is adopted by its next attempt: the stand-ins know it by its URN.
        file = self._state.pulumi / "export.json"
        try:
            self._pulumi("stack", "export", "--stack", STACK, "--file", str(file))
            document = json.loads(file.read_text())
            document["deployment"]["pending_operations"] = []
            replace_file(file, json.dumps(document))
            self._pulumi("stack", "import", "--stack", STACK, "--file", str(file))
        finally:
            file.unlink(missing_ok=True)

    def _make_stack(self) -> str:
        """Make the stack if there is none; the salt that its stack file must carry."""
        if not self._checkpoint.exists():
            # `stack init` rewrites the stack file that it finds, so it gets a project without one.
            folder = self._state.pulumi / "project"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
            self._pulumi("stack", "init", STACK, folder=folder)
        salt = self._checkpoint.salt()
        if salt is None:
            raise DeploymentError(
                f"The engine's state {self._checkpoint.file} has no salt for its passphrase. "
                "Begin anew with `make clean`."
            )
        return salt

    def _pulumi(self, *arguments: str, folder: Path = CHECKOUT) -> str:
        """Run a short command of the engine; what it prints."""
        answer = subprocess.run(
            [self._engine.command, *arguments, "--non-interactive", "--color", "never"],
            cwd=folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if answer.returncode != 0:
            raise DeploymentError(
                f"`pulumi {' '.join(arguments[:2])}` ended with status {answer.returncode}: "
                f"{plain(answer.stderr) or plain(answer.stdout)}"
            )
        return answer.stdout

    def _run(self, configuration: Path, step: Step) -> Account:
        events = self._state.pulumi / "events"
        events.unlink(missing_ok=True)
        account = Account(step=step)
        step.detail = "the engine and the program are starting"
        log = EventLog(events)
        with self._state.engine_log.open("a") as output:
            self._state.engine_log.chmod(0o600)
            output.write(f"\n{time.strftime('%Y-%m-%dT%H:%M:%S%z')} pulumi up\n")
            output.flush()
            start = self._state.engine_log.stat().st_size
            process = subprocess.Popen(
                [
                    *(self._engine.command, "up", "--yes", "--skip-preview", "--non-interactive"),
                    *("--stack", STACK, "--config-file", str(configuration)),
                    *("--event-log", str(events), "--suppress-outputs", "--color", "never"),
                ],
                cwd=CHECKOUT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                self._follow(process, log, account)
            finally:
                events.unlink(missing_ok=True)
        if process.returncode != 0:
            raise DeploymentError(self._refusal(process.returncode, account, start))
        return account

    def _follow(self, process: subprocess.Popen[bytes], log: EventLog, account: Account) -> None:
        """Show the engine's events until it ends; on Ctrl-C give it the time to end in order."""
        try:
            while process.poll() is None:
                for event in log.read():
                    account.take(event)
                time.sleep(POLL_SECONDS)
            for event in log.read():
                account.take(event)
        except KeyboardInterrupt:
            # The terminal has sent the interrupt to the engine as well.
            account.step.say("deployment: interrupted, the engine ends what it has begun (again to force it)")
            try:
                process.wait(STOPPING_SECONDS)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            raise

    def _refusal(self, status: int, account: Account, start: int) -> str:
        causes = account.causes()
        if not causes:
            with self._state.engine_log.open("rb") as log:
                log.seek(start)
                said = log.read().decode(errors="replace").strip().splitlines()
            causes = [line for line in said if line.startswith("error:")] or said[-5:]
        if status < 0:
            causes.append(f"the engine was ended by signal {-status}")
        lines = "\n".join(f"error: {cause.removeprefix('error: ')}" for cause in causes)
        return f"The deployment failed.\n{lines}\nThe engine's whole account: {self._state.engine_log}"

    def _connections(self) -> dict[str, Any]:
        """The stack's connections document."""
        text = self._pulumi("stack", "output", "connections", "--json", "--stack", STACK)
        document = json.loads(text)
        if not isinstance(document, dict):
            raise DeploymentError("The stack has no output `connections` that is a document.")
        return document
