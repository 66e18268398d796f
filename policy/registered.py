"""A resource as rules see it, and the stack that it is part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.type_tokens import normalised
from policy.values import UndecidedError, Value


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource, with its inputs in a resource rule and its outputs in a stack rule.

    Attributes:
        urn: Its URN.
        type: Its type token, normalised.
        name: Its name in the program.
        properties: Decoded properties, by their names on the wire.
        dependencies: URNs of the resources that a property's value comes from, by property.
        ignored: Properties whose changes the program ignores.
        delete_before_replace: Whether a replacement deletes the old one first.
    """

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any] = field(repr=False)
    dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    delete_before_replace: bool = False

    def __post_init__(self) -> None:
        """Bring the type token into the form that rules name."""
        object.__setattr__(self, "type", normalised(self.type))

    def __getitem__(self, name: str) -> Value:
        """A property; it may be absent, unknown or secret."""
        return Value.of(name, self.properties.get(name))


class Stack:
    """The resources of a stack, by type and by what refers to them."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        """Index them."""
        self.resources = tuple(resources)
        self._by_urn = {each.urn: each for each in self.resources}
        self._by_type: dict[str, list[Resource]] = {}
        for each in self.resources:
            self._by_type.setdefault(each.type, []).append(each)

    def of_types(self, tokens: Iterable[str]) -> list[Resource]:
        """Every resource of these types."""
        return [each for token in tokens for each in self._by_type.get(token, ())]

    def all_referred(self, resource: Resource, name: str, tokens: Iterable[str]) -> list[Resource]:
        """Every resource of some types that a property holds, anywhere in it: by reference, or by value.

        What is not known and comes from nothing in the stack is none.
        """
        wanted = tuple(tokens)
        references = {
            urn
            for urn in resource.dependencies.get(name, ())
            if (found := self._by_urn.get(urn)) is not None and found.type in wanted
        }
        texts = frozenset(resource[name].known_texts())
        return [
            each
            for each in self.of_types(wanted)
            if each.urn in references or not texts.isdisjoint(_names(each))
        ]

    def referring(self, token: str, name: str, target: Resource) -> list[Resource]:
        """Every resource of a type whose property holds the target."""
        return [
            each
            for each in self._by_type.get(normalised(token), ())
            if target in self.all_referred(each, name, (target.type,))
        ]

    def referred(self, resource: Resource, name: str, token: str) -> Resource | None:
        """The resource of a type that a property names: by its name or id, else by reference.

        A reference is there before the name is known, but a value can be made of several, or of none of
        what they hold; so where the name is known, it decides.

        Raises:
            UndecidedError: It could be one of several.
        """
        references = [
            found
            for urn in dict.fromkeys(resource.dependencies.get(name, ()))
            if (found := self._by_urn.get(urn)) is not None and found.type == token
        ]
        value = resource[name]
        named = []
        if value.is_known and value.given:
            named = [each for each in self._by_type.get(token, ()) if _is_called(each, value.text())]
        both = [each for each in references if each in named]
        candidates = both or named or references
        if len(candidates) > 1:
            names = ", ".join(each.name for each in candidates)
            raise UndecidedError(f"{value.path} is {value.shown}, which could be any of {names}")
        return candidates[0] if candidates else None


def _names(resource: Resource) -> frozenset[str]:
    given = (resource[key] for key in ("arn", "bucket", "name", "id"))
    return frozenset(each.text() for each in given if each.is_known and each.given)


def _is_called(resource: Resource, wanted: str) -> bool:
    given = (resource[key] for key in ("name", "id"))
    return any(each.is_known and each.given and each.text() == wanted for each in given)
