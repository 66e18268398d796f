"""One preview, from a stack file to what would be made of it.

The engine runs the checkout's program with a stack file, home and backend in a temporary folder, so that
nothing in the checkout changes, whatever a sandbox that runs beside it does.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import processes
from engine.errors import CommandError
from engine.installation import Engine
from engine.progress import Progress
from engine.project import CHECKOUT
from engine.session import Ended, EngineSession
from engine.stack_file import read_document
from preview.offline_stack_file import OfflineStackFile, offline
from preview.passphrase import encryption
from preview.plan import Plan
from preview.stand_ins import ExistingNetwork, StandIns, stand_ins
from runtime.files import replace_file

STACKS = CHECKOUT / "stacks"
POLICY_PACK = CHECKOUT / "policy"
PACK_FILE = "PulumiPolicy.yaml"
_PART = "preview"
_STACK_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How it went.

    Attributes:
        stack: Name of the stack.
        file: Its stack file.
        policy_pack: The policies that judged it, None without.
        copy: What was previewed instead of the file.
        plan: What would be made.
        errors: Why it cannot be deployed, findings of policies excepted.
    """

    stack: str
    file: Path
    policy_pack: Path | None
    copy: OfflineStackFile
    plan: Plan
    errors: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether a deployment may follow."""
        return not self.problems()

    def problems(self) -> list[str]:
        """What forbids a deployment: the errors, and the rules that are broken."""
        rules = sorted({finding.rule for finding in self.plan.findings if finding.stops})
        return [*self.errors, *([f"policies forbid to deploy this: {', '.join(rules)}"] if rules else [])]


def stack_file_of(stack: str, named: Path | None = None) -> Path:
    """The stack file of a stack: the one that was named, or else the one that the engine takes.

    Raises:
        CommandError: the stack's name is none, or there is no such file.
    """
    if not _STACK_NAME.fullmatch(stack):
        raise CommandError(f"{stack!r} is no name of a stack: letters, digits, `-`, `_` and `.` are.")
    file = named or STACKS / f"Pulumi.{stack}.yaml"
    if named is None and not file.exists():
        files = sorted(path.stem.removeprefix("Pulumi.") for path in STACKS.glob("Pulumi.*.yaml"))
        raise CommandError(f"There is no stack file {file}; there are those of {', '.join(files)}.")
    return file


def default_policy_pack() -> Path | None:
    """The checkout's policies."""
    return POLICY_PACK if (POLICY_PACK / PACK_FILE).exists() else None


def preview(stack: str, file: Path, policy_pack: Path | None, engine: Engine, progress: Progress) -> Preview:
    """Preview a stack file as the named stack.

    Raises:
        CommandError: it cannot be tried; what is wrong with the file's settings is in the answer instead.
    """
    document = read_document(file)
    if policy_pack is not None and not (policy_pack / PACK_FILE).exists():
        raise CommandError(f"{policy_pack} is no policy pack: it has no {PACK_FILE}.")
    with (
        _ending_in_order(),
        tempfile.TemporaryDirectory(prefix="passwordless-postgres-preview-") as temporary,
    ):
        folder = Path(temporary).resolve()
        with (
            progress.step("preview") as step,
            stand_ins(folder / "sandbox", ExistingNetwork.of(document["config"])) as served,
        ):
            session = _session(stack, folder, engine, served)
            try:
                session.prepare()
                salt = session.make_stack()
                if salt is None:
                    raise CommandError("The engine made a stack without a salt for its passphrase.")
                copy = offline(file, salt, encryption(session.passphrase_file.read_text().strip(), salt))
                plan = Plan(step=step)
                ended = _run(session, folder, copy, policy_pack, plan)
            finally:
                processes.end(processes.ours(folder, _PART))
            step.result = f"{len(plan.resources)} resources"
    errors = _own_errors(ended, plan)
    return Preview(stack=stack, file=file, policy_pack=policy_pack, copy=copy, plan=plan, errors=errors)


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Whoever ends this process, as CI does after its time is up, ends the engine with it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    # `nohup` has SIGHUP ignored, and so it stays.
    ending = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in ending:
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, before[number])


def _session(stack: str, folder: Path, engine: Engine, served: StandIns) -> EngineSession:
    return EngineSession(
        engine=engine,
        stack=stack,
        project=CHECKOUT,
        root=folder,
        part=_PART,
        folder=folder / "pulumi",
        log=folder / "engine.log",
        providers=served.providers,
        aws=served.aws,
    )


def _run(
    session: EngineSession, folder: Path, copy: OfflineStackFile, policy_pack: Path | None, plan: Plan
) -> Ended:
    configuration = folder / f"Pulumi.{session.stack}.yaml"
    replace_file(configuration, copy.text)
    return session.run(
        "preview",
        *(() if policy_pack is None else ("--policy-pack", str(policy_pack.resolve()))),
        configuration=configuration,
        account=plan,
        interrupted=lambda: plan.step.say("preview: interrupted, the engine ends"),
    )


def _own_errors(ended: Ended, plan: Plan) -> tuple[str, ...]:
    """Why the engine ended badly, unless findings of policies say all there is."""
    if ended.status == 0 or (not plan.own_errors() and any(finding.stops for finding in plan.findings)):
        return ()
    return tuple(cause.removeprefix("error: ") for cause in ended.causes)
