"""Profiles: parts of the pack for teams that want no more. A pack has one from when it is built."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from policy.rule import Area, Rule

FILE = Path(__file__).resolve().parent.parent / "PROFILE"
"""Names the profile of a self-contained pack; the checkout has none."""

# Rules on files and texts are about resources of any service, so their words tell.
_ABOUT_POSTGRESQL = re.compile(r"postgres|\bpg_|\brds\b|\brds-db|aurora", re.IGNORECASE)


class Profile(StrEnum):
    """Which rules a pack has."""

    EVERYTHING = "everything"
    BASELINE = "baseline"
    TLS = "tls"
    POSTGRES = "postgres"


ABOUT = {
    Profile.EVERYTHING: "all rules",
    Profile.BASELINE: "what public benchmarks of AWS require, too",
    Profile.TLS: "encryption and identity in transit, of any service",
    Profile.POSTGRES: "PostgreSQL servers and RDS, who logs in, and what leads to them",
}
"""What each is for."""


def profiles_of(rule: Rule) -> tuple[Profile, ...]:
    """The profiles with a rule, by its area, its references and its subject."""
    about = " ".join((*rule.types, rule.title, rule.why))
    holds = {
        Profile.EVERYTHING: True,
        Profile.BASELINE: bool(rule.references),
        Profile.TLS: rule.area is Area.TLS,
        Profile.POSTGRES: _ABOUT_POSTGRESQL.search(about) is not None,
    }
    return tuple(profile for profile, is_held in holds.items() if is_held)


def rules_of(profile: Profile, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules of a profile."""
    return tuple(rule for rule in rules if profile in profiles_of(rule))


def built() -> Profile:
    """The profile that this pack was built with.

    Raises:
        ValueError: The file names no profile.
    """
    return Profile(FILE.read_text(encoding="utf-8").strip()) if FILE.exists() else Profile.EVERYTHING
