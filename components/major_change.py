"""The refusal of another major release for a server that is there, by which a preview fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pulumi import dynamic


def major_failures(section: str, before: Any, after: Any) -> Sequence[dynamic.CheckFailure]:
    """Why a server of one major release cannot become one of another; empty where it stays what it is.

    Args:
        section: Section of the stack file that has `major`.
        before: What was deployed; None where nothing was, or where that is not known.
        after: What is asked for.
    """
    if before is None or int(before) == int(after):
        return []
    reason = (
        f"{section}.major is {int(after)}, and the server was deployed with {int(before)}: nothing here "
        f"upgrades a server to another major release. Set {section}.major back to {int(before)}; to move, "
        f"deploy a second stack with {int(after)} and bring the data over, with pg_dump for example"
    )
    return [dynamic.CheckFailure("major", reason)]
