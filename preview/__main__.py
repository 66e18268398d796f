"""`python -m preview`: what a stack file would deploy, and what policies find in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engine.errors import CommandError, expected_errors
from engine.installation import ensure
from engine.progress import Progress
from preview.markdown import markdown
from preview.preview import POLICY_PACK, preview, stack_file_of
from preview.report import as_document, show
from preview.sarif import sarif


def preview_command(
    *,
    stack: Annotated[str, typer.Option("--stack", help="Name of the stack.", metavar="NAME")],
    stack_file: Annotated[
        Path | None,
        typer.Option("--stack-file", help="Stack file; default: stacks/Pulumi.NAME.yaml.", metavar="FILE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    policy_pack: Annotated[
        Path | None,
        typer.Option("--policy-pack", help="Policy pack to use instead of policy/.", metavar="DIRECTORY"),
    ] = None,
    no_policy: Annotated[bool, typer.Option("--no-policy", help="Run without policies.")] = False,
    sarif_file: Annotated[
        Path | None,
        typer.Option("--sarif", help="Also write the findings to a file, as SARIF 2.1.0.", metavar="FILE"),
    ] = None,
    markdown_file: Annotated[
        Path | None,
        typer.Option("--markdown", help="Also append a summary to a file, as Markdown.", metavar="FILE"),
    ] = None,
) -> None:
    """Show what a stack would deploy, without AWS. Exits with 1 if it is invalid or a policy forbids it."""
    with expected_errors():
        file = stack_file_of(stack, stack_file)
        pack = None if no_policy else policy_pack or POLICY_PACK
        progress = Progress()
        found = preview(stack, file, pack, ensure(progress), progress)
        if sarif_file is not None:
            sarif_file.write_text(json.dumps(sarif(found), indent=2) + "\n", encoding="utf-8")
        if markdown_file is not None:
            # Several previews share one summary of a workflow.
            with markdown_file.open("a", encoding="utf-8") as summary:
                summary.write(markdown(found))
        if as_json:
            typer.echo(json.dumps(as_document(found), indent=2))
        else:
            show(found, Console(highlight=False, soft_wrap=True))
        if problems := found.problems():
            raise CommandError("\nerror: ".join(["The preview failed.", *problems]))


if __name__ == "__main__":
    typer.run(preview_command)
