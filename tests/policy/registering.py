"""A Pulumi program that registers the examples, and stand-in providers for their types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.properties import UNKNOWN
from emulator.core.provider import Provider
from emulator.core.request import Request
from emulator.core.resource_type import ResourceType
from emulator.core.servicer import ProviderServer
from tests.policy.examples import Sent

_PROGRAM = """
import json

import pulumi

SECRET = "1b47061264138c4ac30d75fd1eb44270"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
KIND = "4dabf18193072939515e22adb298388d"


def given(raw):
    if isinstance(raw, list):
        return [given(each) for each in raw]
    if not isinstance(raw, dict):
        return raw
    if raw.get(KIND) == SECRET:
        return pulumi.Output.secret(given(raw["value"]))
    if raw.get(KIND) == ASSET:
        return pulumi.StringAsset(raw["text"])
    return {key: given(each) for key, each in raw.items()}


made, providers = {}, {}
for each in json.loads(RESOURCES):
    properties = {key: given(value) for key, value in each["properties"].items()}
    for key, names in each["dependencies"].items():
        others = [made[name].id for name in names if name in made]
        if others and key in properties:
            value = properties[key]
            properties[key] = pulumi.Output.all(*others).apply(lambda _, value=value: value)
        elif others:
            properties[key] = others[0]
    options = pulumi.ResourceOptions(
        ignore_changes=each["ignored"], delete_before_replace=each["delete_before_replace"]
    )
    if each["type"].startswith("pulumi:providers:"):
        package = each["type"].rpartition(":")[2]
        provider = pulumi.ProviderResource(package, each["name"], properties, options)
        providers[each["stack"], package] = provider
    else:
        options.provider = providers.get((each["stack"], each["type"].partition(":")[0]))
        made[each["urn"]] = pulumi.CustomResource(each["type"], each["name"], properties, options)
"""


class Echo(ResourceType):
    """Returns its inputs as outputs. In a preview, what AWS would choose is unknown."""

    chosen: ClassVar[Mapping[str, str]] = {}

    def create(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        chosen = {"arn": "arn:aws:rds:eu-central-1:123456789012:x", **self.chosen}
        outputs = {key: UNKNOWN if request.preview else value for key, value in chosen.items()}
        return ("" if request.preview else request.name), {**outputs, **request.inputs}


def program(stacks: Mapping[str, Iterable[Sent]]) -> str:
    """The program. A resource's name is prefixed with its stack's."""
    resources = [
        {
            "stack": stack,
            "type": each["type"],
            "name": f"{stack}-{each['name']}",
            "urn": f"{stack} {_plain(each['urn'])}",
            "properties": each["properties"],
            "dependencies": {
                key: [f"{stack} {_plain(urn)}" for urn in urns] for key, urns in each["dependencies"].items()
            },
            "ignored": list(each.get("ignored", ())),
            "delete_before_replace": bool(each.get("delete_before_replace")),
        }
        for stack, resources in stacks.items()
        for each in _in_order(list(resources))
    ]
    return f"RESOURCES = {json.dumps(resources)!r}\n{_PROGRAM}"


def stand_ins(
    stacks: Mapping[str, Iterable[Sent]],
    serve: Callable[[Provider], ProviderServer],
    aws: Iterable[ResourceType] = (),
) -> dict[str, int]:
    """Ports of providers for every type in the stacks, by package; `aws` has more types for AWS."""
    packages: dict[str, list[ResourceType]] = {"aws": list(aws)}
    tokens = {each["type"] for resources in stacks.values() for each in resources}
    tokens -= {each.token for each in packages["aws"]}
    for token in sorted(tokens):
        package = token.partition(":")[0]
        if package == "pulumi":
            packages.setdefault(token.rpartition(":")[2], [])
        else:
            packages.setdefault(package, []).append(type("Echo", (Echo,), {"token": token})())
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
