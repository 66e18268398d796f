"""What a rule is: an identity, a severity, the types it is about, checks, and how to put things right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from policy.resources import Resource, Stack
from policy.values import TextPlace, Value

ANY = "*"
"""Stands in a rule's types for every type, also one that no provider has yet."""

_ID = re.compile(r"PGTLS-[NP][0-9]{2,3}")


class Severity(StrEnum):
    """How bad a violation is; the pack's configuration says what follows from it."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Area(StrEnum):
    """What a rule protects."""

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
    """

    at: Value | TextPlace
    reason: str


@dataclass(frozen=True, kw_only=True)
class Unclear:
    """What a check cannot decide, while it goes on with the rest.

    Attributes:
        why: The reason.
        is_decided_later: Whether the update decides it.
    """

    why: str
    is_decided_later: bool = False


Outcome = Problem | Unclear
ResourceCheck = Callable[[Resource], Iterator[Outcome]]
StackCheck = Callable[[Resource, Stack], Iterator[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule.

    Each check is about one fact and yields what is wrong; an unknown value or a crash ends only the
    check that met it, and only for that resource.

    Attributes:
        id: Number of the rule catalogue, such as `PGTLS-N41`.
        title: The requirement.
        area: What it protects.
        severity: How bad a violation is.
        types: Normalised type tokens of the resources it is about.
        checks: Checks of one resource by its inputs; these stop an update before anything is made.
        stack_checks: Checks of one resource among the others; these see outputs.
        why: What happens otherwise.
        fix: What to do.
        link: Where the vendor documents it.
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
        """Refuse a rule that could not be reported or would check nothing."""
        if _ID.fullmatch(self.id) is None:
            raise ValueError(f"{self.id!r} is no id of a rule")
        if bool(self.checks) == bool(self.stack_checks):
            raise ValueError(f"{self.id} is about a resource or about a stack, and has checks of that kind")
        if not self.link.startswith("https://"):
            raise ValueError(f"{self.id}: {self.link!r} is no link")

    def is_about(self, token: str) -> bool:
        """Whether it is about resources of a type."""
        return token in self.types or ANY in self.types

    @property
    def is_about_the_stack(self) -> bool:
        """Whether it needs to see other resources."""
        return bool(self.stack_checks)
