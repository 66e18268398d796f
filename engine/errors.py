"""Errors that a command shows without a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer


class CommandError(Exception):
    """Something other than the code is wrong; the text says what, where, and what to do."""


@contextmanager
def expected_errors() -> Iterator[None]:
    """Exit with status 1 and the text of a `CommandError`, without a traceback."""
    try:
        yield
    except CommandError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except BrokenPipeError:
        # The reader of our output has closed it. Without this Python would report that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
