"""Names that YAML or the engine may have rewritten on their way here."""

from __future__ import annotations

import re

# What the engine makes of keys that YAML does not take as text: 010 arrives as "8", ~ as "<nil>".
_REWRITTEN = re.compile(
    r"[-+]?(\d[\d_]*(\.\d*)?(e[-+]?\d+)?|\.\d+)|0[xob][0-9a-f]+|true|false|null|<nil>|~|on|off|yes|no|y|n"
)


def rewritten_name_problems(name: str) -> list[str]:
    """Whether a YAML reader takes the unquoted name for a number, a boolean or nothing."""
    if not _REWRITTEN.fullmatch(name):
        return []
    text = "looks like a number, a boolean or nothing, and YAML rewrites such keys (010 becomes 8)"
    return [f"{name!r} {text}; choose another name"]
