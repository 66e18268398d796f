"""A rule: its id, severity, resource types, checks, and how to fix a violation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from policy.resources import Resource, Stack
from policy.values import TextPlace, UndecidedError, Value

ANY = "*"
"""In a rule's types: every type, including those that a provider adds later."""

_ID = re.compile(r"PGTLS-[NP][0-9]{2,3}")


class Severity(StrEnum):
    """How severe a violation is. The pack's configuration maps it to an enforcement level."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Area(StrEnum):
    """The subject of a rule."""

    TLS = "tls"
    IDENTITY = "identity"
    SECRETS = "secrets"
    NETWORK = "network"
    ENCRYPTION = "encryption"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with one property, or at one place in its text.

    Attributes:
        at: The property, which the message shows with its value; or a place in text, which it only names.
        reason: What is expected, in words that complete "parameters[0].value is '0': …".
        severity: How severe this is where the rule's own severity is too much, as for what is not stated
            although the default is safe; None for the rule's.
    """

    at: Value | TextPlace
    reason: str
    severity: Severity | None = None


@dataclass(frozen=True, kw_only=True)
class Unclear:
    """What a check cannot decide, while it goes on with the rest.

    Attributes:
        why: The reason.
        is_decided_later: Whether the update decides it.
        waits_for: The property without whose value it cannot; empty for another reason.
    """

    why: str
    is_decided_later: bool = False
    waits_for: str = ""

    @classmethod
    def of(cls, error: UndecidedError) -> Unclear:
        """What an unknown value leaves undecided."""
        return cls(why=str(error), is_decided_later=True, waits_for=error.waits_for)


Outcome = Problem | Unclear
ResourceCheck = Callable[[Resource], Iterator[Outcome]]
StackCheck = Callable[[Resource, Stack], Iterator[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule.

    Each check tests one fact and yields what is wrong. An unknown value or a crash ends only that check, and
    only for that resource.

    Attributes:
        id: Id in the rule catalogue, such as `PGTLS-N41`.
        title: The requirement.
        area: Its subject.
        severity: How severe a violation is.
        types: Normalised type tokens of the resources that it applies to.
        checks: Checks of one resource by its inputs, before it is created.
        stack_checks: Checks of one resource together with the others, by their outputs.
        why: The consequence of a violation.
        fix: What to do, in the imperative.
        link: The vendor's documentation.
        references: The same requirement in other rule sets.
    """

    id: str
    title: str
    area: Area
    severity: Severity
    types: tuple[str, ...]
    checks: Sequence[ResourceCheck] = ()
    stack_checks: Sequence[StackCheck] = ()
    why: str
    fix: str
    link: str
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Validate the rule.

        Raises:
            ValueError: The id or the link is invalid, or the rule has no checks.
        """
        if _ID.fullmatch(self.id) is None:
            raise ValueError(f"{self.id!r} is not a rule id, such as PGTLS-N41")
        if not self.checks and not self.stack_checks:
            raise ValueError(f"{self.id} must have checks or stack_checks")
        if not self.link.startswith("https://"):
            raise ValueError(f"{self.id}: the link {self.link!r} must begin with https://")

    def is_about(self, token: str) -> bool:
        """Whether it applies to resources of a type."""
        return token in self.types or ANY in self.types

    @property
    def is_about_the_stack(self) -> bool:
        """Whether it looks at a resource together with the others."""
        return bool(self.stack_checks)
