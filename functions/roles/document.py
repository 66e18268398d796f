"""JSON objects with fixed keys, checked before anything is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA_VERSION = 2


def key_problems(document: Mapping[str, Any], types: Mapping[str, type | tuple[type, ...]]) -> list[str]:
    """What is wrong with the keys of an object: missing, unknown, mistyped, empty or of another version.

    Args:
        document: The object.
        types: The keys that it must have besides `schemaVersion`, and the types of their values.
    """
    wanted = {"schemaVersion": int, **types}
    problems = [f"{key}: missing" for key in sorted(wanted.keys() - document.keys())]
    allowed = ", ".join(sorted(wanted))
    problems += [
        f"{key}: unknown; allowed are {allowed}" for key in sorted(document.keys() - wanted.keys(), key=str)
    ]
    for key, kind in wanted.items():
        value = document.get(key)
        if key in document and (not isinstance(value, kind) or isinstance(value, bool)):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            must = " or ".join(each.__name__ for each in kinds)
            problems.append(f"{key}: is a {type(value).__name__}; must be a {must}")
        elif value == "":
            problems.append(f"{key}: is empty")
    version = document.get("schemaVersion")
    if isinstance(version, int) and version != SCHEMA_VERSION:
        problems.append(f"schemaVersion: {version}; this function knows {SCHEMA_VERSION}")
    return problems
