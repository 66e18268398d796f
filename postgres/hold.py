"""How long drift may be left alone by declaration."""

from __future__ import annotations

from datetime import datetime, timedelta

LONGEST = timedelta(hours=24)


def hold_problems(until: str, now: datetime) -> list[str]:
    """Why drift may not be left alone until then, as predicates; empty if it may.

    Args:
        until: ISO 8601 with a time zone. What is past is fine: nothing is held.
        now: with a time zone.
    """
    try:
        end = datetime.fromisoformat(until)
    except ValueError:
        end = None
    if end is None or end.tzinfo is None:
        return ["is no time of ISO 8601 with a time zone, such as 2026-01-31T18:00:00Z"]
    if end - now > LONGEST:
        return ["is more than 24 hours ahead; a hold ends by itself after a day at most"]
    return []


def held(hold: tuple[str, str] | None, now: datetime) -> str:
    """Why drift is only reported now; empty where it is put back.

    Args:
        hold: until when, without `hold_problems`, and why; None: never.
        now: with a time zone.
    """
    if hold is None or datetime.fromisoformat(hold[0]) <= now:
        return ""
    return f"held until {hold[0]}: {hold[1]}"
