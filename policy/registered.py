"""A resource as rules see it, and the stack that it is part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.type_tokens import normalised
from policy.values import Value


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource, with its inputs in a resource rule and its outputs in a stack rule.

    Attributes:
        urn: Its URN.
        type: Its type token, normalised.
        name: Its name in the program.
        properties: Decoded properties, by their names on the wire.
        dependencies: URNs of the resources that a property's value comes from, by property.
    """

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any] = field(repr=False)
    dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

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

    def referred(self, resource: Resource, name: str, token: str) -> Resource | None:
        """The resource of a type that a property names: by reference, else by its name or id.

        References come first, since they are there before the name is known.
        """
        for urn in resource.dependencies.get(name, ()):
            found = self._by_urn.get(urn)
            if found is not None and found.type == token:
                return found
        value = resource[name]
        if not value.is_known or not value.given:
            return None
        wanted = value.text()
        for each in self._by_type.get(token, ()):
            for key in ("name", "id"):
                if each[key].is_known and each[key].given and each[key].text() == wanted:
                    return each
        return None
