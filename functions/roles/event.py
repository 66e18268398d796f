"""The event: the declaration, and nothing that decides where a secret goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

from functions.roles.configuration import Configuration
from functions.roles.document import key_problems
from postgres.declaration import Declaration, DeclarationError, declaration_problems

_TYPES: Mapping[str, type | tuple[type, ...]] = {"declaration": (dict, NoneType)}


class EventError(ValueError):
    """An invalid event; the text lists everything that is wrong with it."""


def declaration_of(event: Any, configuration: Configuration) -> Declaration | None:
    """The declaration of an event, None for the administrator alone.

    Raises:
        EventError: missing, unknown or mistyped keys, another schema version, a declaration other than the
            one that the configuration pins, or one that RDS cannot apply.
    """
    if not isinstance(event, dict):
        raise EventError(f"the event is a {type(event).__name__}; it must be an object")
    problems = key_problems(event, _TYPES)
    if problems:
        raise EventError("; ".join(problems))
    declaration = _declaration(event["declaration"])
    found, pinned = declaration.sha256 if declaration else None, configuration.declaration_sha256
    if found != pinned:
        raise EventError(
            f"declaration: its SHA-256 is {found}, and the function's configuration allows {pinned} alone; "
            "deploy the stack to change what is declared"
        )
    checked = declaration or Declaration(administrator=configuration.administrator)
    problems = [f"declaration: {text}" for text in declaration_problems(checked, configuration.major, "rds")]
    if checked.administrator != configuration.administrator:
        problems.append(
            f"declaration: its administrator is {checked.administrator!r}, and the configuration's is "
            f"{configuration.administrator!r}"
        )
    if problems:
        raise EventError("; ".join(problems))
    return declaration


def _declaration(document: Any) -> Declaration | None:
    if document is None:
        return None
    try:
        return Declaration.from_json(json.dumps(document))
    except DeclarationError as error:
        raise EventError(f"declaration: {error}") from error
