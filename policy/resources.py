"""A resource and its stack, as rules see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.owned import Owned
from policy.type_tokens import normalised
from policy.values import Placed, UndecidedError, Value

_CALLED = ("name", "id")
_REFERENCES = ("arn", "bucket", *_CALLED)


@dataclass(frozen=True, kw_only=True, eq=False)
class Resource:
    """One resource, with its inputs for resource rules and its outputs for stack rules.

    Two resources are never equal, so that results can be cached by resource.

    Attributes:
        urn: URN.
        type: Type token, normalised.
        declared: Type token in the program where rules read the resource as one of another type.
        name: Name in the program.
        properties: Decoded properties, by their camel-case names.
        dependencies: URNs of the resources that a property's value comes from, by property.
        ignored: Property paths in the option ignoreChanges.
        delete_before_replace: Whether the old resource is deleted before its replacement is created.
        owned: The accounts and organisations that are one's own; only resource rules know them.
    """

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any] = field(repr=False)
    dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    delete_before_replace: bool = False
    declared: str = ""
    owned: Owned = field(default_factory=Owned)

    def __post_init__(self) -> None:
        """Normalise the type token."""
        object.__setattr__(self, "type", normalised(self.type))
        object.__setattr__(self, "declared", self.declared or self.type)

    def __getitem__(self, name: str) -> Value:
        """A property, which may be absent, unknown or secret."""
        if isinstance(self.properties, Placed):
            return self.properties.value(name)
        return Value.of(name, self.properties.get(name))


class Stack:
    """The resources of a stack, indexed by type and by references."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        """Index the resources."""
        self.resources = tuple(resources)
        self._by_urn: dict[str, Resource] = {}
        self._by_type: dict[str, list[Resource]] = {}
        for each in self.resources:
            # A resource of aws-native comes before those that are a part of it.
            self._by_urn.setdefault(each.urn, each)
            self._by_type.setdefault(each.type, []).append(each)
        self._named: dict[tuple[str, str], list[Resource]] = {}
        self._called: dict[tuple[str, str], list[Resource]] = {}
        for each in self.resources:
            for name in _names(each, _REFERENCES):
                self._named.setdefault((each.type, name), []).append(each)
            for name in _names(each, _CALLED):
                self._called.setdefault((each.type, name), []).append(each)
        self._referred: dict[tuple[str, str, tuple[str, ...]], list[Resource]] = {}
        self._referring: dict[tuple[str, str, str], dict[str, list[Resource]]] = {}
        self.read: set[str] = set()
        """The types that were asked for."""

    def by_urn(self, urn: str) -> Resource | None:
        """The resource with a URN; None for one of another stack."""
        return self._by_urn.get(urn)

    def of_types(self, tokens: Iterable[str]) -> list[Resource]:
        """Every resource of the given types."""
        wanted = tuple(tokens)
        self.read.update(wanted)
        return [each for token in wanted for each in self._by_type.get(token, ())]

    def all_referred(self, resource: Resource, name: str, tokens: Iterable[str]) -> list[Resource]:
        """Every resource of the given types to which a property refers, by dependency, name, id or ARN."""
        wanted = tuple(tokens)
        self.read.update(wanted)
        key = (resource.urn, name, wanted)
        if key not in self._referred:
            references = [
                found
                for urn in resource.dependencies.get(name, ())
                if (found := self._by_urn.get(urn)) is not None and found.type in wanted
            ]
            named = [
                found
                for text in resource[name].known_texts()
                for token in wanted
                for found in self._named.get((token, text.strip()), ())
            ]
            self._referred[key] = list(dict.fromkeys((*references, *named)))
        return self._referred[key]

    def referring(self, token: str, name: str, target: Resource) -> list[Resource]:
        """Every resource of a type whose property refers to the target."""
        key = (normalised(token), name, target.type)
        self.read.add(key[0])
        if key not in self._referring:
            found = self._referring[key] = {}
            for each in self._by_type.get(key[0], ()):
                for referred in self.all_referred(each, name, (target.type,)):
                    found.setdefault(referred.urn, []).append(each)
        return list(self._referring[key].get(target.urn, ()))

    def referred(self, resource: Resource, name: str, token: str) -> Resource | None:
        """The resource of a type that a property names: by its name or id, else by dependency.

        A dependency is known before the name is. But a value can depend on several resources and name none
        of them, so a known name decides.

        Raises:
            UndecidedError: Several resources match.
        """
        self.read.add(token)
        references = [
            found
            for urn in dict.fromkeys(resource.dependencies.get(name, ()))
            if (found := self._by_urn.get(urn)) is not None and found.type == token
        ]
        value = resource[name]
        named = []
        if value.is_known and value.given:
            named = self._called.get((token, value.text()), [])
        both = [each for each in references if each in named]
        candidates = both or named or references
        if len(candidates) > 1:
            names = ", ".join(each.name for each in candidates)
            raise UndecidedError(f"{value.path} is {value.shown}, which could be any of {names}")
        return candidates[0] if candidates else None


def _names(resource: Resource, properties: Iterable[str]) -> frozenset[str]:
    given = (resource[key] for key in properties)
    return frozenset(each.text() for each in given if each.is_known and each.given)
