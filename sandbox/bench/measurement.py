"""One thing that was measured, beside its floor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One thing beside its floor.

    Attributes:
        name: What was measured.
        value: How much of it, in `unit`.
        floor: How much of the floor.
        floor_name: What the floor is.
        unit: Such as transactions per second.
        errors: Failures among what was measured.
    """

    name: str
    value: float
    floor: float
    floor_name: str
    unit: str
    errors: int = 0

    @property
    def ratio(self) -> float:
        """Share of the floor that is reached."""
        return self.value / self.floor


def said(measured: Measurement) -> str:
    """A measurement for people."""
    errors = f", {measured.errors} errors" if measured.errors else ", no error"
    return (
        f"{measured.ratio:.2f} of {measured.floor_name} "
        f"({measured.value:.0f} to {measured.floor:.0f} {measured.unit}{errors})"
    )
