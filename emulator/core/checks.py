"""What a provider refuses of one input, in a preview already. Unknown values pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from emulator.core.properties import contains_unknown
from emulator.core.resource_type import Failure, Properties

Check = Callable[[str, Any], Iterable[str]]
"""Yields what is wrong with a value; it is given the input's name and a known value."""


def one_of(*allowed: Any) -> Check:
    """The value is one of these."""

    def check(name: str, value: Any) -> Iterable[str]:
        if value not in allowed:
            yield f"expected {name} to be one of {list(allowed)!r}, got {value}"

    return check


def between(low: int, high: int) -> Check:
    """A number from `low` to `high`, whether sent as a number or as text."""

    def check(name: str, value: Any) -> Iterable[str]:
        if not low <= int(str(value)) <= high:
            yield f"expected {name} to be in the range ({low} - {high}), got {value}"

    return check


def matching(pattern: str, reason: str) -> Check:
    """All of a text matches a regular expression; `reason` says in words what that means."""

    def check(name: str, value: Any) -> Iterable[str]:
        if not re.fullmatch(pattern, str(value)):
            yield f"{name} {value!r}: {reason}"

    return check


def emulated(*allowed: Any) -> Check:
    """AWS takes other values too, the emulator only these."""

    def check(_: str, value: Any) -> Iterable[str]:
        if value not in allowed:
            yield f"{value!r} has no stand-in in the sandbox; it has {', '.join(map(str, allowed))}"

    return check


def failures(checks: Mapping[str, Iterable[Check]], inputs: Properties) -> Iterable[Failure]:
    """What the checks say of known inputs. A dot in a name reaches into a nested property."""
    for name, of_input in checks.items():
        value: Any = inputs
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if known(value):
            for check in of_input:
                for reason in check(name.rpartition(".")[2], value):
                    yield Failure(name.partition(".")[0], reason)


def known(value: Any) -> bool:
    """Whether a value is given and has nothing unknown in it."""
    return value is not None and not contains_unknown(value)
