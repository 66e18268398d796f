"""Command line of the sandbox: `python -m sandbox up|preview|status|down|logs|clean`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sandbox import engine as engine_setup
from sandbox import postgresql_binaries
from sandbox.console import Progress
from sandbox.errors import SandboxError
from sandbox.state import State, existing_state, open_state, remove_state

app = typer.Typer(
    name="sandbox",
    help="PostgreSQL without passwords on loopback: the real engine and program, a stand-in AWS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StateOption = Annotated[
    Path | None, typer.Option("--state", help="State folder instead of .sandbox.", metavar="DIRECTORY")
]


class LogSource(StrEnum):
    """Whose log is shown."""

    ENGINE = "engine"
    SANDBOX = "sandbox"
    MACHINES = "machines"
    RDS = "rds"
    GATEWAY = "gateway"


@contextmanager
def _expected_errors() -> Iterator[None]:
    """Errors with a cause outside the code end with their text and status 1, without a traceback."""
    try:
        yield
    except SandboxError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except BrokenPipeError:
        # Whoever read our output has enough of it; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _existing(state: Path | None) -> State:
    found = existing_state(state)
    if found is None:
        raise SandboxError("There is no sandbox; `make up` makes one.")
    return found


@app.command("up")
def up_command(
    *,
    state: StateOption = None,
    stack_file: Annotated[
        Path | None,
        typer.Option(
            "--stack-file", help="Stack file instead of stacks/Pulumi.sandbox.yaml.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Deploy the sandbox, or bring it to what the stack file says now."""
    from sandbox.stack_file import DEFAULT_FILE
    from sandbox.up import up

    with _expected_errors():
        progress = Progress()
        folder = open_state(state, progress.say)
        with folder.exclusive("up"):
            for line in up(folder, stack_file or DEFAULT_FILE, progress):
                typer.echo(line)


@app.command("preview")
def preview_command(
    *,
    stack: Annotated[str, typer.Option("--stack", help="Name of the stack.", metavar="NAME")],
    stack_file: Annotated[
        Path | None,
        typer.Option("--stack-file", help="Stack file instead of stacks/Pulumi.NAME.yaml.", metavar="FILE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    policy_pack: Annotated[
        Path | None,
        typer.Option("--policy-pack", help="Policies instead of those in policy/.", metavar="DIRECTORY"),
    ] = None,
    no_policy: Annotated[bool, typer.Option("--no-policy", help="Run no policies.")] = False,
    sarif_file: Annotated[
        Path | None,
        typer.Option("--sarif", help="Write the findings as SARIF 2.1.0, too.", metavar="FILE"),
    ] = None,
    markdown_file: Annotated[
        Path | None,
        typer.Option("--markdown", help="Add a summary in Markdown to a file, too.", metavar="FILE"),
    ] = None,
) -> None:
    """Show what would be deployed of a stack file, without AWS; status 1 when it or a policy forbids that."""
    from rich.console import Console

    from sandbox.preview.markdown import markdown
    from sandbox.preview.preview import default_policy_pack, preview, stack_file_of
    from sandbox.preview.report import as_document, show
    from sandbox.preview.sarif import sarif

    with _expected_errors():
        file = stack_file_of(stack, stack_file)
        pack = None if no_policy else policy_pack or default_policy_pack()
        progress = Progress()
        found = preview(stack, file, pack, engine_setup.ensure(progress), progress)
        if sarif_file is not None:
            sarif_file.write_text(json.dumps(sarif(found), indent=2) + "\n", encoding="utf-8")
        if markdown_file is not None:
            # A workflow's summary takes what each stack adds to it.
            with markdown_file.open("a", encoding="utf-8") as summary:
                summary.write(markdown(found))
        if as_json:
            typer.echo(json.dumps(as_document(found), indent=2))
        else:
            show(found, Console(highlight=False, soft_wrap=True))
        if problems := found.problems():
            raise SandboxError("\nerror: ".join(["The preview failed.", *problems]))


@app.command("status")
def status_command(
    *,
    state: StateOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what runs and what the machine says; status 1 when the sandbox does not run."""
    from sandbox.status import as_text, status

    with _expected_errors():
        document = status(_existing(state))
        typer.echo(json.dumps(document, indent=2) if as_json else as_text(document))
        if not document["running"]:
            raise typer.Exit(1)


@app.command("down")
def down_command(*, state: StateOption = None) -> None:
    """Stop everything and keep the data; `up` brings it back."""
    with _expected_errors():
        found = existing_state(state)
        if found is None:
            typer.echo("there is no sandbox")
            return
        with found.exclusive("down"):
            _stop(found)
        typer.echo(f"stopped; data kept in {found.root}")


def _stop(state: State) -> None:
    from sandbox import resident

    with Progress().step("stopping") as step:
        step.result = "ended" if resident.stop(state) else "nothing was running"


@app.command("clean")
def clean_command(*, state: StateOption = None) -> None:
    """Stop everything and remove it with its data; only the engine's cache is kept."""
    from sandbox import stack_context
    from sandbox.deployment import STACK

    with _expected_errors():
        found = existing_state(state)
        if found is not None:
            with found.exclusive("clean"):
                _stop(found)
                if stack_context.belongs_to(STACK, found):
                    shutil.rmtree(stack_context.contexts_folder() / STACK, ignore_errors=True)
                    (stack_context.contexts_folder() / f"{STACK}.json").unlink(missing_ok=True)
                remove_state(found)
            typer.echo(f"removed: {found.root}")
        typer.echo(f"kept: the engine's cache, {engine_setup.cache_root()}")


@app.command("logs")
def logs_command(
    *,
    state: StateOption = None,
    source: Annotated[LogSource | None, typer.Argument(help="Whose log; all without it.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many last lines of each.")] = 30,
) -> None:
    """Show the logs of the engine, the sandbox, its machines and their PostgreSQL."""
    from sandbox import logs

    with _expected_errors():
        found = _existing(state)
        chosen = source.value if source else None
        for file in logs.log_files(found, chosen):
            typer.echo(f"==> {file}")
            for line in logs.last_lines(file, lines):
                typer.echo(line)
        if follow:
            for file, line in logs.follow(found, chosen):
                typer.echo(f"{file.name}: {line}")


@app.command("engine")
def engine_command() -> None:
    """Make sure that there is an engine, and print the folder of its programs."""
    with _expected_errors():
        typer.echo(engine_setup.ensure(Progress()).folder)


@app.command("postgresql")
def postgresql_command(
    *,
    major: Annotated[
        list[int], typer.Option("--major", help="Release to have; may be repeated.", metavar="NUMBER")
    ],
    state: StateOption = None,
) -> None:
    """Make sure that PostgreSQL's programs are there, and print the folder that has MAJOR/bin of each."""
    with _expected_errors():
        progress = Progress()
        folder = open_state(state, progress.say)
        postgresql_binaries.ensure(major, folder.postgresql, progress)
        typer.echo(folder.postgresql)


@app.command("bench")
def bench_command(
    *,
    state: StateOption = None,
    seconds: Annotated[
        int, typer.Option("--seconds", min=4, help="How long the long measurements take.")
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure the running sandbox, as ratios to floors of the same run."""
    with _expected_errors():
        from sandbox.bench import as_text, bench

        found = _existing(state)
        measured = bench(found, Progress(), seconds)
        if as_json:
            typer.echo((found.root / "bench.json").read_text(), nl=False)
        else:
            for line in as_text(measured):
                typer.echo(line)


@app.command("serve", hidden=True)
def serve_command(*, state: StateOption = None) -> None:
    """Be the resident process; `up` starts it."""
    from sandbox.serve import PORT_NAMES, serve

    with _expected_errors():
        found = _existing(state)
        raise typer.Exit(serve(found, found.ports(PORT_NAMES, is_ours=lambda _: False)))


if __name__ == "__main__":
    app()
