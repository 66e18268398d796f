"""The SDK's class of a type token: fixtures are registered by it, as programs register resources.

The classes translate names and mark what is secret by type, whatever the program says. A type that no SDK of
requirements.txt has, such as one of a newer provider, stays a `CustomResource`: `class_of` decides that.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import pulumi
from pulumi.runtime import rpc

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
_ASSET = "c44067f5952c0a294b673a41bacd8c17"
_PROVIDERS = "pulumi:providers:"
_PACKAGES = ("aws", "postgresql", "tls")
_MARKED = re.compile(
    r"""__props__\.__dict__\["(\w+)"\] = (?:None if \w+ is None else )?pulumi\.Output\.secret\("""
)

_READ: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "aws:iam/role:Role": {
            "assumeRolePolicy": '{"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
            '"Principal": {"Service": "ec2.amazonaws.com"}}]}'
        },
        "aws:rds/clusterInstance:ClusterInstance": {"engine": "aurora-postgresql"},
    }
)
"""What rules read of the arguments that the SDK demands, as good values."""


@cache
def class_of(token: str) -> Any:
    """The class; None for a type that no SDK of requirements.txt has."""
    package = token.rpartition(":")[2] if token.startswith(_PROVIDERS) else token.partition(":")[0]
    if package not in _PACKAGES:
        return None
    sdk = importlib.import_module(f"pulumi_{package}")
    if token.startswith(_PROVIDERS):
        return sdk.Provider
    module: Any = rpc.get_resource_module(package, token.split(":")[1], "")
    if module is None or token not in module.mod_info["classes"]:
        return None
    return getattr(importlib.import_module(module.mod_info["fqn"]), module.mod_info["classes"][token])


def _arguments_class(token: str) -> Any:
    found = class_of(token)
    module = sys.modules[found.__module__]
    # Where a nested type has the name of the arguments, the SDK calls these InitArgs.
    return getattr(module, f"{found.__name__}InitArgs", None) or getattr(module, f"{found.__name__}Args")


@cache
def arguments_of(token: str) -> Mapping[str, str]:
    """The names of a class's arguments by those of the schema, such as `key_id` by `keyId`."""
    names = pulumi._types.input_type_py_to_pulumi_names(_arguments_class(token))
    return {schema: python for python, schema in names.items()}


@cache
def demanded_of(token: str) -> Mapping[str, Any]:
    """What the SDK demands of every program, by name in the schema, so that no fixture needs to state it."""
    if class_of(token) is None:
        return {}
    parameters = inspect.signature(_arguments_class(token).__init__).parameters
    demanded = {name for name, each in parameters.items() if each.default is each.empty}
    return {
        schema: _READ.get(token, {}).get(schema, "any")
        for schema, python in arguments_of(token).items()
        if python in demanded
    }


@cache
def secrets_of(token: str) -> frozenset[str]:
    """The inputs that the class marks as secret, by their names in the schema.

    The SDK has no metadata of them: the constructor's code is where it says so.
    """
    found = class_of(token)
    if found is None:
        return frozenset()
    marked = set(_MARKED.findall(inspect.getsource(found._internal_init)))
    return frozenset(schema for schema, python in arguments_of(token).items() if python in marked)


def register(resources: Iterable[Mapping[str, Any]]) -> None:
    """Register resources as a program does, in this order. See `registering.program` for what each has."""
    made: dict[str, Any] = {}
    providers: dict[tuple[str, str], Any] = {}
    for each in resources:
        properties = _properties(each, made)
        options = pulumi.ResourceOptions(
            ignore_changes=each["ignored"], delete_before_replace=each["delete_before_replace"]
        )
        package = each["type"].rpartition(":")[2]
        if each["type"].startswith(_PROVIDERS):
            providers[each["stack"], package] = _made(each, properties, options)
            continue
        options.provider = providers.get((each["stack"], each["type"].partition(":")[0]))
        made[each["urn"]] = _made(each, properties, options)


def _made(each: Mapping[str, Any], properties: Mapping[str, Any], options: pulumi.ResourceOptions) -> Any:
    typed = class_of(each["type"])
    if typed is None:
        return pulumi.CustomResource(each["type"], each["name"], dict(properties), options)
    names = arguments_of(each["type"])
    return typed(each["name"], opts=options, **{names[key]: value for key, value in properties.items()})


def _properties(each: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    properties = {key: _given(value) for key, value in each["properties"].items()}
    for key, names in each["dependencies"].items():
        others = [made[name].id for name in names if name in made]
        if others and key in properties:
            value = properties[key]
            properties[key] = pulumi.Output.all(*others).apply(lambda _, value=value: value)
        elif others:
            properties[key] = others[0]
    return properties


def _given(raw: Any) -> Any:
    if isinstance(raw, list):
        return [_given(each) for each in raw]
    if not isinstance(raw, dict):
        return raw
    if raw.get(SIGNATURE) == SECRET:
        return pulumi.Output.secret(_given(raw["value"]))
    if raw.get(SIGNATURE) == _ASSET:
        return pulumi.StringAsset(raw["text"])
    return {key: _given(each) for key, each in raw.items()}
