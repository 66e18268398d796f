"""A Pulumi program that registers the examples, and stand-in providers for their types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from emulator.core.properties import UNKNOWN
from emulator.core.provider import Provider
from emulator.core.request import Request
from emulator.core.resource_type import ResourceType
from emulator.core.servicer import ProviderServer
from tests.policy.examples import Sent
from tests.policy.typed import arguments_of, class_of, demanded_of

_CHECKOUT = Path(__file__).resolve().parents[2]

_PROGRAM = """
import json
import sys

sys.path.insert(0, {checkout!r})
from tests.policy import typed

typed.register(json.loads({resources!r}))
"""
_Outputs = Mapping[str, Mapping[str, Any]]


class Echo(ResourceType):
    """Returns its inputs, and what the fixture says that AWS chose. In a preview, the rest is unknown."""

    chosen: ClassVar[Mapping[str, str]] = {}
    stated: ClassVar[_Outputs] = {}

    def create(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        chosen = {"arn": "arn:aws:rds:eu-central-1:123456789012:x", **self.chosen}
        outputs = {key: UNKNOWN if request.preview else value for key, value in chosen.items()}
        stated = self.stated.get(request.name, {})
        return ("" if request.preview else request.name), {**outputs, **stated, **request.inputs}


def program(stacks: Mapping[str, Iterable[Sent]]) -> str:
    """The program. A resource's name is prefixed with its stack's."""
    return _PROGRAM.format(checkout=str(_CHECKOUT), resources=json.dumps(resources_of(stacks)))


def resources_of(stacks: Mapping[str, Iterable[Sent]]) -> list[dict[str, Any]]:
    """What `typed.register` takes, in the order of the resources' dependencies."""
    return [
        {
            "stack": stack,
            "type": each["type"],
            "name": f"{stack}-{each['name']}",
            "urn": f"{stack} {_plain(each['urn'])}",
            "properties": {**demanded_of(each["type"]), **_divided(each)[0]},
            "dependencies": {
                key: [f"{stack} {_plain(urn)}" for urn in urns] for key, urns in each["dependencies"].items()
            },
            "ignored": list(each.get("ignored", ())),
            "delete_before_replace": bool(each.get("delete_before_replace")),
        }
        for stack, resources in stacks.items()
        for each in _in_order(list(resources))
    ]


def _divided(each: Sent) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A fixture's properties: those that a program states, and those that AWS chooses."""
    properties = each["properties"]
    names = properties if class_of(each["type"]) is None else arguments_of(each["type"])
    chosen = {key: value for key, value in properties.items() if key not in names}
    return {key: value for key, value in properties.items() if key in names}, chosen


def stand_ins(
    stacks: Mapping[str, Iterable[Sent]],
    serve: Callable[[Provider], ProviderServer],
    aws: Iterable[ResourceType] = (),
) -> dict[str, int]:
    """Ports of providers for every type in the stacks, by package; `aws` has more types for AWS."""
    packages: dict[str, list[ResourceType]] = {"aws": list(aws)}
    stated = {
        f"{stack}-{each['name']}": _divided(each)[1]
        for stack, resources in stacks.items()
        for each in resources
    }
    tokens = {each["type"] for resources in stacks.values() for each in resources}
    tokens -= {each.token for each in packages["aws"]}
    for token in sorted(tokens):
        package = token.partition(":")[0]
        if package == "pulumi":
            packages.setdefault(token.rpartition(":")[2], [])
        else:
            packages.setdefault(package, []).append(
                type("Echo", (Echo,), {"token": token, "stated": stated})()
            )
    return {package: serve(Provider("tls", types)).port for package, types in packages.items()}


def _plain(urn: str) -> str:
    return "::".join(urn.split("::")[2:])


def _in_order(resources: list[Sent]) -> list[Sent]:
    """The resources in the order of their dependencies."""
    done: list[Sent] = []
    waiting = list(resources)
    while waiting:
        present = {_plain(each["urn"]) for each in waiting}
        ready = [
            each
            for each in waiting
            if not {_plain(urn) for urns in each["dependencies"].values() for urn in urns} & present
        ]
        done += ready or waiting
        waiting = [each for each in waiting if each not in ready] if ready else []
    return done
