"""What the five characters say that a server puts beside each of its errors."""

from __future__ import annotations

_PASSING = ("08", "40", "53", "57", "58", "55P03")


def is_passing(sqlstate: str) -> bool:
    """Whether the same statement may succeed later.

    So do the classes connection, rollback, resources, operator and system, and a lock that was not to be
    had.
    """
    return sqlstate.startswith(_PASSING)
