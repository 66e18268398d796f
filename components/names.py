"""Names that are derived from other names: children, parameters, log groups."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_UNUSABLE = re.compile(r"[^A-Za-z0-9_-]+")


def slug(text: str) -> str:
    """`text` itself if it fits names of resources, else what fits of it and 7 digits of its SHA-256.

    Different texts never get the same slug by accident, so a role name may hold any character.
    """
    if _PLAIN.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:7]
    readable = _UNUSABLE.sub("-", text).strip("-")
    return f"{readable}-{digest}" if readable else digest


def stack_path(stack: str, *parts: str) -> str:
    """The path below which a stack keeps its parameters and log groups."""
    return "/".join(["", "passwordless-postgres", stack, *parts])
