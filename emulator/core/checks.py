"""What a provider refuses of one input, in a preview already. Unknown values pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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
            yield f"expected {attribute(name)} to be in the range ({low} - {high}), got {value}"

    return check


def at_least(low: int) -> Check:
    """A number from `low`."""

    def check(name: str, value: Any) -> Iterable[str]:
        if int(str(value)) < low:
            yield f"expected {name} to be at least ({low}), got {value}"

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


def not_emulated(instead: str = "") -> Check:
    """AWS takes this input, the emulator does not; `instead` says what it has."""

    def check(name: str, value: Any) -> Iterable[str]:
        if value:
            yield f"{name} has no stand-in in the sandbox{instead and f'; {instead}'}"

    return check


def json_policy(name: str, value: Any) -> Iterable[str]:
    """A policy document: a JSON object."""
    try:
        parsed = json.loads(str(value))
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        yield f'"{name}" contains an invalid JSON policy: not a JSON object'


def failures(checks: Mapping[str, Iterable[Check]], inputs: Properties) -> Iterable[Failure]:
    """What the checks say of known inputs, whose names are those of `values`."""
    for name, of_input in checks.items():
        for value in values(inputs, name):
            if known(value):
                for check in of_input:
                    for reason in check(name.rpartition(".")[2], value):
                        yield Failure(name.partition(".")[0], reason)


def required(names: Sequence[str], inputs: Properties) -> Iterable[Failure]:
    """A failure of every input that is not given."""
    for name in names:
        if inputs.get(name) is None:
            missing = f'The argument "{name}" is required, but no definition was found.'
            yield Failure(name, f"Missing required argument. {missing}")


def exactly_one(names: Sequence[str], inputs: Properties) -> Iterable[Failure]:
    """A failure of the first name unless one of these inputs is given, and no other."""
    if sum(inputs.get(name) is not None for name in names) != 1:
        yield _one_must_be_specified(names)


def at_least_one(names: Sequence[str], inputs: Properties) -> Iterable[Failure]:
    """A failure of the first name when none of these inputs is given."""
    if all(inputs.get(name) is None for name in names):
        yield _one_must_be_specified(names)


def _one_must_be_specified(names: Sequence[str]) -> Failure:
    return Failure(names[0], f"one of `{','.join(sorted(map(attribute, names)))}` must be specified")


def at_most_one(names: Sequence[str], inputs: Properties) -> Iterable[Failure]:
    """A failure of every given input but the first."""
    first, *others = [name for name in names if inputs.get(name) is not None] or [""]
    for name in others:
        yield Failure(name, f'"{attribute(name)}": conflicts with {attribute(first)}')


def values(inputs: Properties, name: str) -> Iterable[Any]:
    """The values of an input. A dot in the name reaches into a nested property, or into each of a list.

    Of a list of plain values, what follows the dot is what messages call one of them.
    """
    first, _, rest = name.partition(".")
    value = inputs.get(first)
    if not rest:
        yield value
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, Mapping):
            yield from values(item, rest)
        elif isinstance(value, list):
            yield item


def attribute(name: str) -> str:
    """Terraform's name of an input, which the provider's messages have."""
    return _BLOCKS.get(name) or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


# Blocks, whose names the bridge puts into the plural.
_BLOCKS = {"aliases": "alias", "metricQueries": "metric_query"}


def known(value: Any) -> bool:
    """Whether a value is given and has nothing unknown in it."""
    return value is not None and not contains_unknown(value)
