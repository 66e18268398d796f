"""The PostgreSQL majors that the project supports, and the oldest minor of each that it accepts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SUPPORTED_MAJORS: tuple[int, ...] = (15, 16, 17, 18)

MINIMUM_MINORS: Mapping[int, int] = MappingProxyType({15: 19, 16: 15, 17: 11, 18: 6})
"""Default floor per major: the first minors that fix CVE-2026-14681, with which a GSSENCRequest
after direct TLS bypasses pg_hba rules (release notes of 18.6 and 17.11, 2026-08-13)."""


DEFAULT_MAJOR = 17
"""The major of Debian 13."""


def require_supported(major: int) -> None:
    """Raise ValueError when `major` is not one of SUPPORTED_MAJORS."""
    if major not in SUPPORTED_MAJORS:
        allowed = ", ".join(str(supported) for supported in SUPPORTED_MAJORS)
        raise ValueError(f"PostgreSQL major {major!r} is not supported; use one of {allowed}")


def minor_floor_problems(major: int, minor: int) -> list[str]:
    """What is wrong with `minor` as the lowest accepted minor release of `major`; empty when nothing is."""
    if major not in SUPPORTED_MAJORS:
        allowed = ", ".join(str(supported) for supported in SUPPORTED_MAJORS)
        return [f"major {major!r} is not supported; use one of {allowed}"]
    lowest = MINIMUM_MINORS[major]
    if minor < lowest:
        text = f"minor floor {minor!r} of PostgreSQL {major} allows releases with CVE-2026-14681"
        return [f"{text}; use {lowest} or higher"]
    return []
