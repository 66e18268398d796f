"""Text that somebody else wrote, made fit for one line of a terminal or a log."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

# Control characters, those that change the direction or are invisible, and line and paragraph separators.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def shown(text: str) -> str:
    """The text on one line, with every character that would not be seen as itself written as an escape.

    Ends of lines become `; `. What it returns it would return unchanged.
    """
    line = "; ".join(part for part in text.replace("\r\n", "\n").split("\n") if part.strip())
    return "".join(_escape(sign) if unicodedata.category(sign) in _HIDDEN else sign for sign in line)


def _escape(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


ShownText = Annotated[str, AfterValidator(shown)]
"""A field of a document that is shown to people as it is."""
