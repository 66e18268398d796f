"""The Pulumi project that the engine runs: its folder, its name, its stack files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from engine.errors import CommandError

CHECKOUT = Path(__file__).resolve().parent.parent
PROJECT = "passwordless-postgres"
"""Name of the project, as in `Pulumi.yaml`."""


def read_stack_file(path: Path) -> dict[str, Any]:
    """Parse a stack file; `settings` validates the values in its mapping `config`.

    Raises:
        CommandError: there is no such file, or it is not YAML with a mapping `config`.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CommandError(f"The stack file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"The stack file {path} is not UTF-8 text.") from error
    except yaml.YAMLError as error:
        raise CommandError(f"The stack file {path} is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise CommandError(f"The stack file {path} has no section `config` with the stack's settings.")
    return document
