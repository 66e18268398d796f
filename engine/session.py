"""Running the engine on one stack, with the engine's home and state in one folder."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import processes
from engine.checkpoint import Checkpoint
from engine.errors import CommandError
from engine.events import EventLog, RunState, plain
from engine.installation import Engine
from engine.project import CHECKOUT, PROJECT
from runtime.files import replace_file

FOLDER = "pulumi"
HOME = "home"
LOG = "engine.log"
POLL_SECONDS = 0.1
STOPPING_SECONDS = 60
# The user's own AWS and Pulumi settings must not reach a program that runs on loopback.
EXCLUDED_PREFIXES = ("AWS_", "PULUMI_")


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run of the engine ended.

    Attributes:
        status: Exit status, negative for a signal.
        causes: The errors, when the status is not 0.
    """

    status: int
    causes: Sequence[str] = ()

    def error_text(self) -> str:
        """The errors, one per line."""
        return "\n".join(f"error: {cause.removeprefix('error: ')}" for cause in self.causes)


def checkpoint(root: Path, stack: str) -> Checkpoint:
    """The state of a stack whose sessions have this root."""
    return Checkpoint(backend=root / FOLDER / "backend", project=PROJECT, stack=stack)


def prevent_debug_log(home: Path) -> None:
    """Keep an engine with this `PULUMI_HOME` from logging everything at debug level.

    It compresses and encrypts that log as it writes it, which takes half of its CPU time (measured with
    3.259), and has no switch for it. It goes on without where it cannot make the folder `logs`.
    """
    logs = home / "logs"
    if not logs.is_file():
        shutil.rmtree(logs, ignore_errors=True)
        logs.touch()


@dataclass(frozen=True, kw_only=True)
class EngineSession:
    """Runs the engine on one stack of the checkout's program.

    Attributes:
        engine: The engine.
        stack: Name of the stack.
        root: Folder to which the engine's processes belong, see `processes`; `engine.log` is the output.
        part: The part of it that starts them, see `processes`.
        providers: Port of the provider for each package.
        aws: Variables with which the program reaches AWS.
    """

    engine: Engine
    stack: str
    root: Path
    part: str
    providers: Mapping[str, int]
    aws: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """The folder of the engine's home, its backend and the passphrase."""
        return self.root / FOLDER

    @property
    def checkpoint(self) -> Checkpoint:
        """The stack's state."""
        return checkpoint(self.root, self.stack)

    def _environment(self) -> dict[str, str]:
        own = {key: value for key, value in os.environ.items() if not key.startswith(EXCLUDED_PREFIXES)}
        own.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **processes.marked_environment(self.root, self.part, own),
            **self.aws,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PATH": self.engine.search_path(os.environ.get("PATH", os.defpath)),
            "PULUMI_HOME": str(self.folder / HOME),
            "PULUMI_BACKEND_URL": f"file://{self.checkpoint.backend}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase_file),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            # Every provider is attached by its port; the engine would look for plugins to download.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # Enables --event-log; the Automation API uses both.
            "PULUMI_DEBUG_COMMANDS": "1",
            "PULUMI_DEBUG_PROVIDERS": ",".join(f"{name}:{port}" for name, port in self.providers.items()),
            # The language host lists all packages to find plugins, which takes half a second and finds none.
            "PIP_PATH": os.devnull,
            # Without bytecode the program takes seconds more to start; it must not appear in the checkout.
            "PYTHONPYCACHEPREFIX": own.get("PYTHONPYCACHEPREFIX") or str(CHECKOUT / ".venv" / "pycache"),
        }

    @property
    def passphrase_file(self) -> Path:
        """The file with the passphrase of the stack's secrets."""
        return self.folder / "passphrase"

    def prepare(self) -> None:
        """Create the folders and the passphrase unless they exist."""
        for folder in (self.folder, self.checkpoint.backend, self.folder / HOME):
            folder.mkdir(mode=0o700, exist_ok=True)
        prevent_debug_log(self.folder / HOME)
        if not self.passphrase_file.exists():
            replace_file(self.passphrase_file, secrets.token_urlsafe(32) + "\n")

    def make_stack(self) -> str:
        """Create the stack unless it exists; returns the salt that its stack file must contain.

        Raises:
            CommandError: the engine cannot create it, or its state is damaged.
        """
        if not self.checkpoint.file.exists():
            # `stack init` rewrites the stack file that it finds: give it a project without one.
            folder = self.folder / "project"
            folder.mkdir(exist_ok=True)
            (folder / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
            self.command("stack", "init", self.stack, folder=folder)
        salt = self.checkpoint.salt()
        if salt is None:
            raise CommandError(
                f"The engine's state {self.checkpoint.file} has no salt for its passphrase. "
                "Start over with `make clean`."
            )
        return salt

    def command(self, *arguments: str, folder: Path | None = None) -> str:
        """Run a short command of the engine, and return its output.

        Raises:
            CommandError: it fails.
        """
        answer = subprocess.run(
            [self.engine.command, *arguments, "--non-interactive", "--color", "never"],
            cwd=folder or CHECKOUT,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if answer.returncode != 0:
            raise CommandError(
                f"`pulumi {' '.join(arguments[:2])}` ended with status {answer.returncode}: "
                f"{plain(answer.stderr) or plain(answer.stdout)}"
            )
        return answer.stdout

    def run(
        self, *arguments: str, configuration: Path, state: RunState, on_interrupt: Callable[[], None]
    ) -> RunResult:
        """Run the engine with the program until it ends.

        Args:
            arguments: The command, such as `up`, and its options.
            configuration: The stack file.
            state: Gets every event.
            on_interrupt: Called on Ctrl-C, before the wait for the engine's end.
        """
        events = self.folder / "events"
        events.unlink(missing_ok=True)
        state.step.detail = "the engine and the program are starting"
        log, output_file = EventLog(events), self.root / LOG
        with output_file.open("a") as output:
            output_file.chmod(0o600)
            output.write(f"\n{time.strftime('%Y-%m-%dT%H:%M:%S%z')} pulumi {arguments[0]}\n")
            output.flush()
            start = output_file.stat().st_size
            process = subprocess.Popen(
                [
                    *(self.engine.command, *arguments, "--non-interactive", "--stack", self.stack),
                    *("--config-file", str(configuration), "--event-log", str(events)),
                    *("--suppress-outputs", "--color", "never"),
                ],
                cwd=CHECKOUT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                _follow(process, log, state, on_interrupt)
            finally:
                events.unlink(missing_ok=True)
        status = process.returncode
        return RunResult(status=status, causes=self._causes(status, state, start) if status else ())

    def _causes(self, status: int, state: RunState, start: int) -> list[str]:
        causes = state.causes()
        if not causes:
            with (self.root / LOG).open("rb") as log:
                log.seek(start)
                lines = log.read().decode(errors="replace").strip().splitlines()
            causes = [line for line in lines if line.startswith("error:")] or lines[-5:]
        if status < 0:
            causes = [*causes, f"the engine was ended by signal {-status}"]
        return causes


def _follow(
    process: subprocess.Popen[bytes], log: EventLog, state: RunState, on_interrupt: Callable[[], None]
) -> None:
    """Handle the engine's events until it ends; after Ctrl-C give it time to end in order."""
    try:
        running = True
        while running:
            time.sleep(POLL_SECONDS)
            running = process.poll() is None
            for event in log.read():
                state.handle(event)
    except KeyboardInterrupt:
        # The terminal has interrupted the engine as well.
        on_interrupt()
        try:
            process.wait(STOPPING_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        raise
