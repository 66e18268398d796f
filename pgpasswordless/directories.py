"""Where this package writes files, and where it looks for stack contexts."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

FOLDER = ".pgpasswordless"


def path_component(name: str) -> str:
    """`name` as one component of a path; different names give different components."""
    # quote() leaves dots alone, and `.` and `..` would be folders of the file system.
    if name in {"", ".", ".."}:
        return "%" + name.replace(".", "%2E")
    return quote(name, safe=" ")


def context_file(stack: str, folder: Path) -> Path:
    """The stack context of `stack` in `folder`."""
    return folder / f"{path_component(stack)}.json"


def identity_directory(stack: str, database: str, role: str, base: Path | None = None) -> Path:
    """Where the files of one role are kept: `.pgpasswordless/<stack>/<database>/<role>`, absolute.

    Args:
        stack: name of the stack.
        database: name of the database in the connections document.
        role: name of the database role.
        base: folder that holds `.pgpasswordless`; the working directory when None.
    """
    parts = (path_component(part) for part in (stack, database, role))
    return (base or Path.cwd()).absolute().joinpath(FOLDER, *parts)
