"""The user's own ASGI application: its name, and where its modules are."""

from __future__ import annotations

import re

_APPLICATION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def application_problems(application: str) -> list[str]:
    """What is wrong with the name of an ASGI application."""
    return [] if _APPLICATION.fullmatch(application) else ["is not of the form module:attribute"]


def source_path_problems(path: str) -> list[str]:
    """What is wrong with the path of a folder; whether it is there is checked where it is read."""
    return [] if path.strip("/. ") else ["is not the path of a folder with Python modules"]
