"""How a property of `aws-native` becomes one of `aws`: its name, its shape, and where it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from policy.values import Placed, Secret, Value


class Given(NamedTuple):
    """One property of the `aws` shape.

    Attributes:
        name: Its name; a dot leads into a map, as in `healthCheck.protocol`.
        value: Its value, with its path in the `aws-native` resource.
    """

    name: str
    value: Value


Shape = Callable[[Value], Iterator[Given]]


def placed(given: Iterable[Given]) -> Placed:
    """The map of some properties, which keeps where each was given."""
    result = Placed()
    for name, value in given:
        if name == "*":
            result.rest = value
            continue
        first, _, rest = name.partition(".")
        if rest:
            inner = result.get(first)
            inner = inner if isinstance(inner, Placed) else Placed()
            _put(inner, rest, value)
            result[first] = inner
            result.places.setdefault(first, value.path.partition(".")[0])
        else:
            _put(result, first, value)
    return result


def _put(into: Placed, name: str, value: Value) -> None:
    if not value.given and name in into:
        return
    into[name] = Secret(value.raw) if value.secret else value.raw
    into.places[name] = value.path


def to(name: str, **inside: str) -> Shape:
    """The property under another name; `inside` renames keys at any depth of its value."""

    def shape(value: Value) -> Iterator[Given]:
        yield Given(name, _renamed(value, inside) if inside else value)

    return shape


def _renamed(value: Value, names: Mapping[str, str]) -> Value:
    return Value(path=value.path, raw=_renamed_raw(value, names), secret=value.secret)


def _renamed_raw(value: Value, names: Mapping[str, str]) -> Any:
    if isinstance(value.raw, list):
        return [_wrapped(each, names) for each in value.items()]
    if isinstance(value.raw, Mapping):
        result = Placed()
        for key in value.raw:
            inner = value.at(key)
            result[names.get(key, key)] = _wrapped(inner, names)
            result.places[names.get(key, key)] = inner.path
        return result
    return value.raw


def _wrapped(value: Value, names: Mapping[str, str]) -> Any:
    raw = _renamed_raw(value, names)
    return Secret(raw) if value.secret else raw


def spread(**names: str) -> Shape:
    """Each key of a map as a property of its own; `names` renames keys at any depth."""

    def shape(value: Value) -> Iterator[Given]:
        if not isinstance(value.raw, Mapping):
            yield Given("*", value)
            return
        for key in value.raw:
            name = str(key)
            yield Given(names.get(name, name), _renamed(value.at(name), names))

    return shape


def inner(path: str, name: str, **inside: str) -> Shape:
    """What is inside of a map at a key, or `[]` for the first element of a list, under another name."""

    def shape(value: Value) -> Iterator[Given]:
        for part in path.split("."):
            if not value.is_known:
                break
            value = next(iter(value.items()), value.emptied()) if part == "[]" else value.at(part)
        yield Given(name, _renamed(value, inside))

    return shape


def elements(path: str, name: str) -> Shape:
    """A list of what is at a key in each element, such as the `ebs` of each device."""

    def shape(value: Value) -> Iterator[Given]:
        if not isinstance(value.raw, list):
            yield Given(name, value)
            return
        found = [each.at(path) if isinstance(each.raw, Mapping) else each for each in value.items()]
        yield Given(name, Value(path=value.path, raw=[_wrapped(each, {}) for each in found if each.given]))

    return shape


def first_of(path: str, name: str) -> Shape:
    """The first true or unknown value at a key of the elements of a list."""

    def shape(value: Value) -> Iterator[Given]:
        if not isinstance(value.raw, list):
            yield Given(name, value)
            return
        for each in value.items():
            found = each.at(path) if isinstance(each.raw, Mapping) else each
            if not found.is_known or (found.truth() is not False and found.given):
                yield Given(name, found)
                return

    return shape


def parameters(value: Value) -> Iterator[Given]:
    """The map of RDS parameters as the list of `aws`. CloudFormation chooses when each is applied."""
    if not isinstance(value.raw, Mapping):
        yield Given("parameters", value)
        return
    entries = []
    for name in value.raw:
        given = value.at(name)
        entry = placed([Given("value", given)])
        entries.append(entry)
        entry.update(name=name, applyMethod="pending-reboot")
    yield Given("parameters", Value(path=value.path, raw=entries, secret=value.secret))


def attributes(**names: str) -> Shape:
    """A list of `key` and `value` as one property each; names have `__` for the dots in a key."""
    by_key = {key.replace("__", "."): name.replace("__", ".") for key, name in names.items()}

    def shape(value: Value) -> Iterator[Given]:
        if not isinstance(value.raw, list):
            for name in by_key.values():
                yield Given(name, value)
            return
        for each in value.items():
            key = each.at("key") if isinstance(each.raw, Mapping) else each
            if not key.is_known:
                for name in by_key.values():
                    yield Given(name, key)
            elif name := by_key.get(key.text()):
                yield Given(name, each.at("value"))

    return shape


def scheme(value: Value) -> Iterator[Given]:
    """`internal` from a load balancer's scheme."""
    raw = value.text().lower() == "internal" if value.is_known and value.given else value.raw
    yield Given("internal", Value(path=value.path, raw=raw, secret=value.secret))


def words_apart(name: str) -> Shape:
    """A value such as `PublicRead` as `public-read`."""

    def shape(value: Value) -> Iterator[Given]:
        raw = value.raw
        if isinstance(raw, str):
            raw = "".join(f"-{each.lower()}" if each.isupper() else each for each in raw).lstrip("-")
        yield Given(name, Value(path=value.path, raw=raw, secret=value.secret))

    return shape
