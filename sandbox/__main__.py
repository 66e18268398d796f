"""Command line of the sandbox: `python -m sandbox up|status|down|logs|clean`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from emulator.postgresql_server import binaries as postgresql_binaries
from engine.errors import CommandError, expected_errors
from engine.installation import cache_root
from engine.progress import Progress
from sandbox import logs
from sandbox.logs import LogSource
from sandbox.state import State, existing_state, open_state, remove_state

app = typer.Typer(
    name="sandbox",
    help="PostgreSQL without passwords on loopback: the real engine and program on an emulated AWS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StateOption = Annotated[
    Path | None, typer.Option("--state", help="State folder; default: .sandbox.", metavar="DIRECTORY")
]


def _existing(state: Path | None) -> State:
    found = existing_state(state)
    if found is None:
        raise CommandError("There is no sandbox. `make up` deploys one.")
    return found


@app.command("up")
def up_command(
    *,
    state: StateOption = None,
    stack_file: Annotated[
        Path | None,
        typer.Option("--stack-file", help="Stack file; default: stacks/Pulumi.sandbox.yaml.", metavar="FILE"),
    ] = None,
) -> None:
    """Deploy the sandbox, or update it to its stack file."""
    from sandbox.stack_file import DEFAULT_FILE
    from sandbox.up import up

    with expected_errors():
        progress = Progress()
        folder = open_state(state, progress.say)
        with folder.exclusive("up"):
            folder.check_format()
            folder.record_format()
            for line in up(folder, stack_file or DEFAULT_FILE, progress):
                typer.echo(line)


@app.command("status")
def status_command(
    *,
    state: StateOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what runs and what the machines report. Exits with 1 if the sandbox does not run."""
    from sandbox.status import as_text, status

    with expected_errors():
        found = _existing(state)
        found.check_format()
        document = status(found)
        typer.echo(json.dumps(document, indent=2) if as_json else as_text(document))
        if not document["running"]:
            raise typer.Exit(1)


@app.command("down")
def down_command(*, state: StateOption = None) -> None:
    """Stop everything and keep the data; `up` starts it again."""
    with expected_errors():
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
        step.result = "done" if resident.stop(state) else "nothing was running"


@app.command("clean")
def clean_command(*, state: StateOption = None) -> None:
    """Stop everything and remove it with its data. Keeps only the engine's cache."""
    from sandbox import stack_context
    from sandbox.deployment import STACK

    with expected_errors():
        found = existing_state(state)
        if found is not None:
            with found.exclusive("clean"):
                _stop(found)
                if stack_context.belongs_to(STACK, found):
                    shutil.rmtree(stack_context.contexts_folder() / STACK, ignore_errors=True)
                    (stack_context.contexts_folder() / f"{STACK}.json").unlink(missing_ok=True)
                remove_state(found)
            typer.echo(f"removed: {found.root}")
        typer.echo(f"kept: the engine's cache, {cache_root()}")


@app.command("logs")
def logs_command(
    *,
    state: StateOption = None,
    source: Annotated[LogSource | None, typer.Argument(help="Whose log to show; default: all.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue with new lines until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of each log.")] = 30,
) -> None:
    """Show the logs of the engine, the sandbox, its machines, RDS and the gateway."""
    with expected_errors():
        found = _existing(state)
        for file in logs.log_files(found, source):
            typer.echo(f"==> {file}")
            for line in logs.last_lines(file, lines):
                typer.echo(line)
        if follow:
            for file, line in logs.follow(found, source):
                typer.echo(f"{file.name}: {line}")


@app.command("postgresql")
def postgresql_command(
    *,
    major: Annotated[
        list[int],
        typer.Option("--major", help="Major release; may be repeated.", metavar="NUMBER"),
    ],
    state: StateOption = None,
) -> None:
    """Install PostgreSQL's programs unless they are there, and print the folder that contains MAJOR/bin."""
    with expected_errors():
        progress = Progress()
        folder = open_state(state, progress.say)
        postgresql_binaries.ensure(major, folder.postgresql, progress)
        typer.echo(folder.postgresql)


@app.command("bench")
def bench_command(
    *,
    state: StateOption = None,
    seconds: Annotated[int, typer.Option("--seconds", min=4, help="Duration of the long measurements.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure the running sandbox, relative to baselines of the same run."""
    with expected_errors():
        from sandbox.bench import as_text, bench

        found = _existing(state)
        found.check_format()
        measured = bench(found, Progress(), seconds)
        if as_json:
            typer.echo((found.root / "bench.json").read_text(), nl=False)
        else:
            for line in as_text(measured):
                typer.echo(line)


@app.command("serve", hidden=True)
def serve_command(*, state: StateOption = None) -> None:
    """Run the resident process; `up` starts it."""
    from sandbox.serve import PORT_NAMES, serve

    with expected_errors():
        found = _existing(state)
        raise typer.Exit(serve(found, found.ports(PORT_NAMES)))


if __name__ == "__main__":
    app()
