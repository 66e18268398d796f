"""How what was changed by hand is put back, of both kinds of server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from postgres.hold import hold_problems
from settings.section import Checked, Section


def _hold_problems(until: str) -> list[str]:
    return hold_problems(until, datetime.now(UTC))


class Hold(Section):
    """A time to work on the database by hand: drift is reported and not put back. Access is never held."""

    until: Annotated[str, Checked(_hold_problems, "a time of ISO 8601 with a time zone")] = Field(
        examples=["2026-01-31T18:00:00Z"]
    )
    """When it ends by itself, at most 24 hours ahead of `pulumi up`."""
    reason: str = Field(min_length=1, max_length=200, examples=["vacuum full of the orders"])
    """Why; what reports drift shows it, and an alarm goes off while it lasts."""


class Reconcile(Section):
    """How what was changed by hand is put back."""

    hold: Hold | None = None
    """A time in which roles, grants and settings are not put back."""
