"""The lines of the checkout's program that make its resources, as the engine tells them in its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit


def sources(output: str) -> dict[str, str]:
    """The place of each resource that a preview's output (`--json`) tells, by URN; empty for other output.

    A place is `components/rds/instance.py:170`, the innermost one in the checkout: below it is the SDK.
    """
    try:
        digest, _ = json.JSONDecoder().raw_decode(output, output.find("\n{") + 1)
    except ValueError:
        # The engine ended early, and its errors are told elsewhere.
        return {}
    steps = digest.get("steps") or ()
    return {each["urn"]: place for each in steps if (place := next(_places(each.get("newState") or {}), ""))}


def _places(state: Mapping[str, Any]) -> Iterator[str]:
    for frame in (state, *(state.get("stackTrace") or ())):
        position = urlsplit(frame.get("sourcePosition", ""))
        path = PurePosixPath(unquote(position.path).removeprefix("/"))
        line = position.fragment.partition(",")[0]
        if line.isdigit() and not {"..", ".venv"} & set(path.parts):
            yield f"{path}:{line}"
