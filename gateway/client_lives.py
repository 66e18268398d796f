"""How long the certificates are good for yet with which clients came."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from gateway.caller import Caller
from gateway.in_flight import Identity
from gateway.validity import life_left

REMEMBERED_SECONDS = 24 * 60 * 60.0
"""How long a client counts after its last request. A renewed certificate takes the old one's place."""

Came = tuple[str, str, float, float, float]
"""Kind and value of a client, begin and end of its certificate, and when it came, in seconds since 1970."""


class ClientLives:
    """The certificate that each client of the allow-list came with last."""

    def __init__(self) -> None:
        """Nobody came yet."""
        self._last: dict[Identity, tuple[datetime, datetime, float]] = {}

    def came(self, caller: Caller, now: float) -> None:
        """A client was admitted, at `now` in seconds since 1970."""
        identity = (caller.identity_kind, caller.identity_value)
        self._last[identity] = (caller.not_before, caller.not_after, now)

    def since(self, moment: float) -> list[Came]:
        """Who came at a moment, in seconds since 1970, or later."""
        return [
            (*identity, begins.timestamp(), ends.timestamp(), at)
            for identity, (begins, ends, at) in self._last.items()
            if at >= moment
        ]

    def merge(self, others: Iterable[Came]) -> None:
        """Take what another worker saw; what came last counts."""
        for kind, value, begins, ends, at in others:
            known = self._last.get((kind, value))
            if known is None or known[2] <= at:
                moments = (datetime.fromtimestamp(begins, UTC), datetime.fromtimestamp(ends, UTC))
                self._last[kind, value] = (*moments, at)

    def shortest(self, now: float) -> float | None:
        """How much of its life the certificate has left that ends first, from 1 to 0; None if nobody came."""
        self._last = {name: last for name, last in self._last.items() if now - last[2] <= REMEMBERED_SECONDS}
        moment = datetime.fromtimestamp(now, UTC)
        return min((life_left(begins, ends, moment) for begins, ends, _ in self._last.values()), default=None)
