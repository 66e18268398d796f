"""Checks of single properties, of which rules are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from policy.resources import Resource
from policy.rule import Outcome, Problem, ResourceCheck
from policy.values import Value, throughout

Applies = Callable[[Resource], bool]


def always(_: Resource) -> bool:
    """Every resource."""
    return True


def has(name: str, *values: str) -> Applies:
    """Resources in which a property has one of these values, in upper or lower case."""
    lowered = {each.lower() for each in values}
    return lambda resource: resource[name].text().lower() in lowered


def inside(resource: Resource, path: str) -> list[Value]:
    """The values at a path such as `metadataOptions.httpTokens` or `networkInterfaces[].subnetId`.

    Raises:
        UndecidedError: A value on the path is not known yet.
    """
    first, *rest = path.split(".")
    found = _spread(resource[first.removesuffix("[]")], first)
    for part in rest:
        found = [deeper for each in found for deeper in _spread(each.at(part.removesuffix("[]")), part)]
    return found


def _spread(value: Value, part: str) -> list[Value]:
    return value.items() if part.endswith("[]") else [value]


def must(
    path: str, holds: Callable[[Value], bool], expected: str, *, when: Applies = always
) -> ResourceCheck:
    """Each value at the path must satisfy a condition."""

    def judge(value: Value) -> Iterator[Outcome]:
        if not holds(value):
            yield Problem(at=value, reason=expected)

    def check(resource: Resource) -> Iterator[Outcome]:
        if when(resource):
            yield from throughout(inside(resource, path), judge)

    return check


def must_be(path: str, *allowed: str, when: Applies = always) -> ResourceCheck:
    """Each value at the path must be one of these, in upper or lower case. It must not be absent."""
    lowered = {each.lower() for each in allowed}
    expected = f"expected {' or '.join(allowed)}"
    return must(path, lambda value: value.text().lower() in lowered, expected, when=when)


def must_be_true(path: str, *, when: Applies = always) -> ResourceCheck:
    """Each value at the path must be true. It must not be absent."""
    return must(path, lambda value: value.truth() is True, "expected true", when=when)


def must_be_false(path: str, *, when: Applies = always) -> ResourceCheck:
    """Each value at the path must be false. It must not be absent."""
    return must(path, lambda value: value.truth() is False, "expected false", when=when)


def must_not_be_true(path: str, *, when: Applies = always) -> ResourceCheck:
    """Each value at the path must be false or absent."""
    return must(
        path,
        lambda value: not value.text() or value.truth() is False,
        "expected false",
        when=when,
    )


def must_not_be(path: str, *refused: str, expected: str, when: Applies = always) -> ResourceCheck:
    """No value at the path may be one of these, in upper or lower case."""
    lowered = {each.lower() for each in refused}
    return must(path, lambda value: value.text().lower() not in lowered, expected, when=when)


def must_be_given(path: str, expected: str, *, when: Applies = always) -> ResourceCheck:
    """There must be a value at the path, known or not yet."""
    return must(path, lambda value: value.given and value.raw not in ([], {}), expected, when=when)


def must_not_be_given(path: str, expected: str, *, when: Applies = always) -> ResourceCheck:
    """There must be no value at the path."""
    return must(path, lambda value: not value.given, expected, when=when)
