"""What alarms learn of a gateway: metrics as lines of its log."""

from __future__ import annotations

from collections.abc import Mapping

from runtime import cloudwatch

GATEWAY = "Gateway"
"""The one dimension: the gateway's name in its instances' file."""
LIST_LIFE_LEFT = "RevocationListLifeLeft"
"""How much of its life the revocation list has left that ends first, in percent."""
AUTHORITY_LIFE_LEFT = "ClientAuthorityLifeLeft"
"""How much of its life the client authority's certificate has left that ends first, in percent."""
CLIENT_LIFE_LEFT = "ClientCertificateLifeLeft"
"""The same of the certificates with which clients came in the last 24 hours."""
DOCUMENT_REFUSED = "DocumentRefused"
"""1 while the newest document is refused or cannot be fetched, so that an older one is in effect; else 0."""
DOCUMENT_SERIAL = "DocumentSerial"
"""Serial of the document in effect."""
INTERVAL_SECONDS = 60.0


def metrics_line(
    gateway: str,
    *,
    lives_left: Mapping[str, float | None],
    document_is_refused: bool,
    serial: int | None,
    now: float,
) -> str:
    """One line of the log.

    Args:
        gateway: its name in the instance's file.
        lives_left: by the name of the metric, from 1 down to 0; None where there is nothing with an end.
        document_is_refused: whether the newest document is refused or cannot be fetched.
        serial: of the document in effect; None without one.
        now: seconds since 1970.
    """
    values: dict[str, tuple[float, str]] = {DOCUMENT_REFUSED: (int(document_is_refused), "Count")}
    if serial is not None:
        values[DOCUMENT_SERIAL] = (serial, "None")
    for name, left in lives_left.items():
        if left is not None:
            values[name] = (round(left * 100, 3), "Percent")
    return cloudwatch.metrics_line((GATEWAY, gateway), values, now)
