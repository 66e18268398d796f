"""Stack files as YAML documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from engine.errors import CommandError


def read_document(path: Path) -> dict[str, Any]:
    """The document in a stack file, with a mapping `config`; `settings` validates its values.

    Raises:
        CommandError: There is no such file, or it is not YAML with a section `config`.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CommandError(f"The stack file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"The stack file {path} is not text in UTF-8.") from error
    except yaml.YAMLError as error:
        raise CommandError(f"The stack file {path} is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise CommandError(f"The stack file {path} has no section `config` with the stack's settings.")
    return document
