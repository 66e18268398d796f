"""Checks of single properties, of which rules are made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from policy.defaults import default_of
from policy.resources import Resource
from policy.rule import Outcome, Problem, ResourceCheck, Severity
from policy.values import Value, throughout

Applies = Callable[[Resource], bool]
_PRODUCTION = re.compile(r"^urn:pulumi:(?:[^:]*[-_.])?prod(?:uction)?(?:[-_.][^:]*)?::", re.IGNORECASE)


def always(_: Resource) -> bool:
    """Every resource."""
    return True


def has(name: str, *values: str) -> Applies:
    """Resources in which a property has one of these values, in upper or lower case."""
    lowered = {each.lower() for each in values}
    return lambda resource: stated_or_default(resource, resource[name]).text().lower() in lowered


def stated_or_default(resource: Resource, value: Value) -> Value:
    """A property, with the default that a resource has where it is absent and `policy.defaults` knows it."""
    if value.raw is not None:
        return value
    is_classic = resource.declared in ("", resource.type)
    default = default_of(resource.type, value.path, is_classic=is_classic)
    return value if default is None else Value(path=value.path, raw=default.value)


def in_production(resource: Resource) -> bool:
    """Resources of a stack whose name says production: `prod`, `eu-production`."""
    return _PRODUCTION.match(resource.urn) is not None


def both(*conditions: Applies) -> Applies:
    """Resources to which every condition applies."""
    return lambda resource: all(each(resource) for each in conditions)


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
    path: str,
    holds: Callable[[Value], bool],
    expected: str,
    *,
    when: Applies = always,
    absent: Severity | None = None,
) -> ResourceCheck:
    """Each value at the path must satisfy a condition, and so must the default of one that is absent.

    `absent` is the severity of a value that is not stated, where a setting elsewhere may make up for it; the
    rule's own severity without it.
    """

    def check(resource: Resource) -> Iterator[Outcome]:
        def judge(value: Value) -> Iterator[Outcome]:
            effective = stated_or_default(resource, value)
            if not holds(effective):
                by_default = "" if effective is value else f"; the default is {effective.text()}"
                severity = None if value.given else absent
                yield Problem(at=value, reason=f"{expected}{by_default}", severity=severity)

        if when(resource):
            yield from throughout(inside(resource, path), judge)

    return check


def must_be(
    path: str, *allowed: str, when: Applies = always, absent: Severity | None = None
) -> ResourceCheck:
    """Each value at the path must be one of these, in upper or lower case; absent only by a default."""
    lowered = {each.lower() for each in allowed}
    expected = f"expected {' or '.join(allowed)}"
    return must(path, lambda value: value.text().lower() in lowered, expected, when=when, absent=absent)


def must_be_true(path: str, *, when: Applies = always, absent: Severity | None = None) -> ResourceCheck:
    """Each value at the path must be true; absent only where that is the default."""
    return must(path, lambda value: value.truth() is True, "expected true", when=when, absent=absent)


def must_be_false(path: str, *, when: Applies = always) -> ResourceCheck:
    """Each value at the path must be false; absent only where that is the default."""
    return must(path, lambda value: value.truth() is False, "expected false", when=when)


def must_not_be_false(path: str, *, when: Applies = always) -> ResourceCheck:
    """Each value at the path must be true or absent."""
    return must(path, lambda value: not value.text() or value.truth() is True, "expected true", when=when)


def must_be_at_least(
    path: str, least: int, unit: str, *, when: Applies = always, default: int = 0
) -> ResourceCheck:
    """Each number at the path must be so large. Where it is absent, AWS uses the default."""
    return must(
        path,
        lambda value: (value.number() or 0 if value.text() else default) >= least,
        f"expected {least} {unit} or more",
        when=when,
    )


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
