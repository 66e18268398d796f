"""Source code without its prose: comments, documentation and messages, which may quote what they warn of."""

from __future__ import annotations

import re

_SOURCES = (
    ".py",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".tsx",
    ".jsx",
    ".go",
    ".java",
    ".kt",
    ".rb",
    ".rs",
    ".php",
    ".cs",
)
_HASHES = (".py", ".rb", ".php")
_STRINGS = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`"
_WITH_HASHES = re.compile(rf"\"\"\".*?\"\"\"|'''.*?'''|#[^\n]*|{_STRINGS}", re.DOTALL)
_WITH_SLASHES = re.compile(rf"//[^\n]*|/\*.*?\*/|{_STRINGS}", re.DOTALL)
_KEY = "PRIVATE KEY-----"


def is_source(name: str) -> bool:
    """Whether a file is a program, by its name."""
    return name.endswith(_SOURCES)


def without_prose(name: str, source: str) -> str:
    """The source with spaces in place of comments and of strings with several words; offsets stay.

    A string with a private key is none of these.
    """
    pattern = _WITH_HASHES if name.endswith(_HASHES) else _WITH_SLASHES
    return pattern.sub(_blank, source)


def _blank(match: re.Match[str]) -> str:
    found = match[0]
    is_word = found[0] in "\"'`" and found[:3] not in ('"""', "'''") and len(found.split()) == 1
    return found if is_word or _KEY in found else re.sub(r"[^\n]", " ", found)
