"""The Pulumi project that the engine runs: its folder, its name, its stack files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from engine.errors import CommandError

CHECKOUT = Path(__file__).resolve().parent.parent
PROJECT = "passwordless-postgres"
"""Name of the project, as in `Pulumi.yaml`."""
# Linux takes 131,071 bytes in one environment variable (execve(2), MAX_ARG_STRLEN); the engine adds some 260.
_LARGEST = 130_000
_compact = partial(json.dumps, separators=(",", ":"), ensure_ascii=False)


def read_stack_file(path: Path) -> dict[str, Any]:
    """Parse a stack file; `settings` validates the values in its mapping `config`.

    Raises:
        CommandError: there is no such file, it is not YAML with a mapping `config`, or that is too large.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CommandError(f"The stack file {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(f"The stack file {path} is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(config := document.get("config"), dict):
        raise CommandError(f"The stack file {path} has no section `config` with the stack's settings.")
    texts = {key: value if isinstance(value, str) else _compact(value) for key, value in config.items()}
    if (size := len(_compact(texts).encode())) > _LARGEST:
        raise CommandError(
            f"The stack file {path} has {size:,} bytes of settings. The engine hands them to the program "
            f"in one environment variable, which holds {_LARGEST:,}. Divide roles or clients among stacks."
        )
    return document
