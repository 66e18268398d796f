"""How long the certificates are good for yet with which clients came."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.caller import Caller
from gateway.validity import life_left

REMEMBERED_SECONDS = 24 * 60 * 60.0
"""How long a client counts after its last request. A renewed certificate takes the old one's place."""


class ClientLives:
    """The certificate that each client of the allow-list came with last."""

    def __init__(self) -> None:
        """Nobody came yet."""
        self._last: dict[tuple[str, str], tuple[Caller, float]] = {}

    def came(self, caller: Caller, now: float) -> None:
        """A client was admitted, at `now` in seconds since 1970."""
        self._last[caller.identity_kind, caller.identity_value] = (caller, now)

    def shortest(self, now: float) -> float | None:
        """How much of its life the certificate has left that ends first, from 1 to 0; None if nobody came."""
        self._last = {
            name: (caller, at) for name, (caller, at) in self._last.items() if now - at <= REMEMBERED_SECONDS
        }
        moment = datetime.fromtimestamp(now, UTC)
        lives = (life_left(caller.not_before, caller.not_after, moment) for caller, _ in self._last.values())
        return min(lives, default=None)
