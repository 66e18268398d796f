"""The stack context that `pgpasswordless --stack sandbox` reads: connections document and AWS variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.project import CHECKOUT
from pgpasswordless.directories import FOLDER, context_file
from pgpasswordless.stack import CONTEXTS_VARIABLE
from runtime.files import replace_file
from sandbox.state import State


def contexts_folder() -> Path:
    """The folder of stack contexts: the one that the environment names, else the checkout's."""
    named = os.environ.get(CONTEXTS_VARIABLE)
    return Path(named).absolute() if named else CHECKOUT / FOLDER


def write(
    stack: str, state: State, connections: Mapping[str, Any], aws: Mapping[str, str], psql: Path | None
) -> None:
    """Write the connections document and the stack context, readable by their owner only."""
    replace_file(state.connections, json.dumps(connections, indent=2) + "\n")
    folder = contexts_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    context = {
        "connections": str(state.connections),
        "environment": dict(aws),
        "psql": str(psql) if psql else None,
    }
    replace_file(context_file(stack, folder), json.dumps(context, indent=2) + "\n")


def belongs_to(stack: str, state: State) -> bool:
    """Whether the stack context is that of this sandbox."""
    try:
        context = json.loads(context_file(stack, contexts_folder()).read_text())
    except (OSError, ValueError):
        return False
    return context.get("connections") == str(state.connections)
