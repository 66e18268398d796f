"""One preview of a stack file.

The engine runs the checkout's program with a copy of the stack file, a home and a backend in a temporary
folder. So nothing in the checkout changes, and a running sandbox does not matter.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine import processes
from engine.errors import CommandError
from engine.installation import Engine
from engine.progress import Progress
from engine.project import CHECKOUT, read_stack_file
from engine.session import LOG, EngineSession, RunResult
from policy.serving import VERBOSE
from preview.offline_stack_file import OfflineStackFile, encryption, offline
from preview.plan import Plan
from preview.sources import sources
from preview.stand_ins import ExistingNetwork, stand_ins
from runtime.files import replace_file

STACKS = CHECKOUT / "stacks"
POLICY_PACK = CHECKOUT / "policy"
PACK_FILE = "PulumiPolicy.yaml"
_PART = "preview"
_STACK_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The result of a preview.

    Attributes:
        stack: Name of the stack.
        file: Its stack file.
        policy_pack: The policy pack that ran, if any.
        copy: The copy of the file that was previewed.
        plan: The planned resources and the policies' findings.
        sources: File and line of the program that make a resource, by URN.
        errors: Why it cannot be deployed, without the policies' findings.
    """

    stack: str
    file: Path
    policy_pack: Path | None
    copy: OfflineStackFile
    plan: Plan
    sources: Mapping[str, str]
    errors: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether it may be deployed."""
        return not self.problems()

    def problems(self) -> list[str]:
        """Why it must not be deployed: the errors, and the rules that it violates."""
        rules = sorted({finding.rule for finding in self.plan.findings if finding.stops})
        return [*self.errors, *([f"policies forbid this deployment: {', '.join(rules)}"] if rules else [])]


def stack_file_of(stack: str, named: Path | None = None) -> Path:
    """The stack file of a stack: the one that was named, else the one that the engine uses.

    Raises:
        CommandError: the stack's name is invalid, or there is no such file.
    """
    if not _STACK_NAME.fullmatch(stack):
        raise CommandError(f"{stack!r} is not a valid stack name. Use letters, digits, `-`, `_` and `.`.")
    file = named or STACKS / f"Pulumi.{stack}.yaml"
    if named is None and not file.exists():
        files = sorted(path.stem.removeprefix("Pulumi.") for path in STACKS.glob("Pulumi.*.yaml"))
        raise CommandError(f"There is no stack file {file}. Stacks with a file: {', '.join(files)}.")
    return file


def preview(stack: str, file: Path, policy_pack: Path | None, engine: Engine, progress: Progress) -> Preview:
    """Preview a stack file as the named stack.

    Raises:
        CommandError: the preview cannot run. Errors in the file's settings are part of the result instead.
    """
    document = read_stack_file(file)
    if policy_pack is not None and not (policy_pack / PACK_FILE).exists():
        raise CommandError(f"{policy_pack} is not a policy pack: it has no {PACK_FILE}.")
    with (
        _exit_on_signals(),
        tempfile.TemporaryDirectory(prefix="passwordless-postgres-preview-") as temporary,
    ):
        folder = Path(temporary).resolve()
        with (
            progress.step("preview") as step,
            stand_ins(folder / "sandbox", ExistingNetwork.of(document["config"])) as (providers, aws),
        ):
            # Programs that read the report learn which rules wait.
            own = {**aws, VERBOSE: "1"}
            session = EngineSession(
                engine=engine, stack=stack, root=folder, part=_PART, providers=providers, aws=own
            )
            configuration = folder / f"Pulumi.{stack}.yaml"
            plan = Plan(step=step)
            try:
                session.prepare()
                salt = session.make_stack()
                copy = offline(file, salt, encryption(session.passphrase_file.read_text().strip(), salt))
                replace_file(configuration, copy.text)
                result = session.run(
                    "preview",
                    "--json",
                    *_policies(policy_pack, exemptions_of(file, stack)),
                    configuration=configuration,
                    state=plan,
                    on_interrupt=lambda: step.say("preview: interrupted; waiting for the engine's end"),
                )
            finally:
                processes.terminate(processes.find(folder, _PART))
            step.result = f"{len(plan.resources)} resources"
            made_at = sources((folder / LOG).read_text(encoding="utf-8", errors="replace"))
    errors = _own_errors(result, plan)
    return Preview(
        stack=stack, file=file, policy_pack=policy_pack, copy=copy, plan=plan, sources=made_at, errors=errors
    )


def exemptions_of(file: Path, stack: str) -> Path:
    """The configuration of the policy pack for a stack, beside its stack file; it need not exist."""
    return file.with_name(f"policy.{stack}.json").resolve()


def _policies(pack: Path | None, configuration: Path) -> Iterator[str]:
    if pack is not None:
        yield from ("--policy-pack", str(pack.resolve()))
        # Another pack would refuse a configuration of this one.
        if pack.resolve() == POLICY_PACK and configuration.exists():
            yield from ("--policy-pack-config", str(configuration))


@contextlib.contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Turn signals, such as those after a time-out in CI, into an exit that ends the engine, too."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    # `nohup` ignores SIGHUP; leave that as it is.
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


def _own_errors(result: RunResult, plan: Plan) -> tuple[str, ...]:
    """The errors of a failed run; none when the policies' findings are its only reason."""
    if result.status == 0 or (not plan.own_errors() and any(finding.stops for finding in plan.findings)):
        return ()
    return tuple(cause.removeprefix("error: ") for cause in result.causes)
