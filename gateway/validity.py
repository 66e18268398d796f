"""How long certificates and revocation lists are good for yet."""

from __future__ import annotations

from datetime import datetime, timedelta

_SHORTEST = timedelta(seconds=1)


def life_left(begins: datetime, ends: datetime, now: datetime) -> float:
    """Which part of a life is left, from 1 at its begin down to 0 at its end and after it."""
    return max((ends - now) / max(ends - begins, _SHORTEST), 0.0)
