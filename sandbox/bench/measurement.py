"""One measurement beside its baseline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measurement beside its floor, a baseline of the same run.

    Attributes:
        name: What was measured.
        value: The measured rate, in `unit`.
        floor: The rate of the baseline.
        floor_name: What the baseline is.
        unit: Such as transactions/s.
        errors: Number of failures.
    """

    name: str
    value: float
    floor: float
    floor_name: str
    unit: str
    errors: int = 0

    @property
    def ratio(self) -> float:
        """The measured rate as a share of the baseline."""
        return self.value / self.floor

    def summary(self) -> str:
        """The measurement as text for people."""
        errors = f"{self.errors} errors" if self.errors else "no error"
        return (
            f"{self.ratio:.2f} of {self.floor_name} "
            f"({self.value:.0f} to {self.floor:.0f} {self.unit}, {errors})"
        )
