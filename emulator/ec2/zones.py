"""Availability zones: every region of the sandbox has three."""

from __future__ import annotations


def zone_names(region: str) -> tuple[str, ...]:
    """Names of a region's zones."""
    return tuple(region + letter for letter in "abc")


def zone_id(name: str) -> str:
    """Id of a zone, such as `euc1-az1`."""
    area, direction, number = name[:-1].split("-")
    return f"{area}{direction[0]}{number}-az{'abc'.index(name[-1]) + 1}"
