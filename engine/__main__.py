"""`python -m engine`: install the engine unless it is there, and print the folder of its commands."""

from __future__ import annotations

import typer

from engine.errors import expected_errors
from engine.installation import ensure
from engine.progress import Progress


def engine() -> None:
    """Install the Pulumi engine unless it is there, and print the folder of its commands."""
    with expected_errors():
        typer.echo(ensure(Progress()).folder)


if __name__ == "__main__":
    typer.run(engine)
