"""The contract of every component of the package, wherever below it a component lies."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

import components
from tests.components.examples import EXAMPLES, TAGS
from tests.recording_monitor import Recording, is_taggable, record, tags_of

TOKEN = "passwordless-postgres:index:"


def component_classes() -> Iterator[type[pulumi.ComponentResource]]:
    for module_info in pkgutil.walk_packages(components.__path__, "components."):
        module = importlib.import_module(module_info.name)
        for _, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, pulumi.ComponentResource) and member.__module__ == module.__name__:
                yield member


# Class and type token: a token is part of every state, so it stays when a class gets a better name.
COMPONENTS: dict[str, tuple[str, ...]] = {
    "CertificateAuthority": ("CertificateAuthority",),
    "ClientAuthority": ("ClientAuthority",),
    "ClientRevocation": ("ClientRevocation",),
    "DatabaseMachine": ("DatabaseMachine",),
    "DatabaseRoles": ("DatabaseRoles",),
    "DesiredState": ("DesiredState",),
    "GatewayAlarms": ("GatewayAlarms",),
    "GatewayMachines": ("GatewayMachines",),
    "GatewaySecurityGroups": ("GatewayFirewall",),
    "HeaderSuffixes": ("HeaderSuffixes",),
    "Identity": ("Identity",),
    "IdentitySecret": ("IdentitySecret",),
    "LeafCertificate": ("LeafCertificate",),
    "MutualTlsGateway": ("MutualTlsGateway",),
    "MutualTlsListener": ("MutualTlsListener",),
    "Network": ("Network",),
    "PrivateBucket": ("PrivateBucket",),
    "PublishedDocument": ("ConnectionsDocument", "PublishedGatewayDocument"),
    "RdsAlarms": ("RdsAlarms",),
    "RdsPostgres": ("RdsPostgres",),
    "ReconciliationSchedule": ("ReconciliationSchedule",),
    "RolesFunction": ("RolesFunction",),
    "SecretsKey": ("SecretsKey",),
    "SelfManagedPostgres": ("SelfManagedPostgres",),
    "ServerAlarms": ("ServerAlarms",),
    "ServerCertificate": ("ServerCertificate",),
    "ServerSecurityGroup": ("ServerFirewall",),
    "TrustStore": ("TrustStore",),
}

CLASSES = {each.__name__: each for each in component_classes()}
BUILT = [
    pytest.param(name, builder, id=f"{name}-{number}")
    for name in CLASSES
    for number, builder in enumerate(EXAMPLES.get(name, []), start=1)
]


def tokens_of(name: str) -> list[str]:
    return [f"{TOKEN}{token}" for token in COMPONENTS[name]]


@functools.cache
def recorded(builder: Any) -> Recording:
    return record(lambda: builder(None))


def test_components_are_found_and_every_one_has_an_example() -> None:
    assert sorted(CLASSES) == sorted(COMPONENTS)
    assert sorted(EXAMPLES) == sorted(CLASSES), (
        "add an example of the component to tests/components/examples.py"
    )


@pytest.mark.parametrize("name", CLASSES)
def test_signature_arguments_and_resources(name: str) -> None:
    component = CLASSES[name]
    module = inspect.getmodule(component)
    args, resources = getattr(module, f"{name}Args"), getattr(module, f"{name}Resources")
    parameters = inspect.signature(component.__init__).parameters
    assert list(parameters) == ["self", "name", "args", "opts"]
    assert parameters["opts"].default is None
    assert parameters["args"].annotation == args.__name__
    assert component.__annotations__["resources"] == resources.__name__
    for described in (args, resources):
        assert dataclasses.is_dataclass(described)
        assert described.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert all(each.kw_only for each in dataclasses.fields(described))
    assert inspect.cleandoc(component.__doc__ or "").startswith(f"`{TOKEN}{COMPONENTS[name][0]}`")
    documented = args.__doc__ or ""
    assert all(each.name in documented for each in dataclasses.fields(args)), documented


@pytest.mark.parametrize(("name", "builder"), BUILT)
def test_children(name: str, builder: Any) -> None:
    recording = recorded(builder)
    built = [each for each in recording.registrations if each.type in tokens_of(name)]
    assert built
    for each in recording.registrations:
        assert not each.type.startswith("pulumi:providers:"), f"{each.name}: components make no providers"
        if not each.custom and each.parent_type == "pulumi:pulumi:Stack":
            continue
        assert each.parent_type.startswith(TOKEN), f"{each.type} {each.name} has parent {each.parent}"
        assert each.name.startswith(each.parent_name), f"{each.name} is not named after {each.parent_name}"
        if is_taggable(each.type):
            tags = tags_of(each.inputs)
            assert TAGS.items() <= tags.items(), f"{each.type} {each.name} has tags {tags}"


OPTIONS = pulumi.ResourceOptions(
    ignore_changes=["marker"], aliases=[pulumi.Alias(name="former")], replace_on_changes=["marker"]
)


@dataclasses.dataclass
class Observed:
    """A component that a consumer built with options: what it registered, and the order of that."""

    component: Any
    recording: Recording
    events: list[tuple[str, Any]]


@functools.cache
def observed(builder: Any) -> Observed:
    events: list[tuple[str, Any]] = []
    init, register = pulumi.Resource.__init__, pulumi.ComponentResource.register_outputs

    def observed_init(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        options = kwargs.get("opts") or next(
            (each for each in args if isinstance(each, pulumi.ResourceOptions)), None
        )
        events.append(("child", options.parent if options else None))

    def observed_register(self: Any, outputs: Any) -> None:
        events.append(("outputs", self))
        register(self, outputs)

    made: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulumi.Resource, "__init__", observed_init)
        patch.setattr(pulumi.ComponentResource, "register_outputs", observed_register)
        recording = record(lambda: made.append(builder(OPTIONS)))
    return Observed(component=made[0], recording=recording, events=events)


@pytest.mark.parametrize(("name", "builder"), BUILT)
def test_outputs_are_registered_once_and_last(name: str, builder: Any) -> None:
    component, events = observed(builder).component, observed(builder).events
    assert type(component).__name__ == name
    assert [kind for kind, who in events if who is component][-1] == "outputs"
    assert sum(1 for kind, who in events if kind == "outputs" and who is component) == 1


@pytest.mark.parametrize(("name", "builder"), BUILT)
def test_options_of_the_consumer_stay_with_the_component(name: str, builder: Any) -> None:
    recording = observed(builder).recording
    with_options = [each for each in recording.registrations if "marker" in each.request.ignoreChanges]
    assert [each.custom for each in with_options] == [False]
    assert with_options[0].type in tokens_of(name)
    for each in recording.registrations:
        if each.type not in tokens_of(name):
            assert "former" not in str(each.request.aliases)
            assert "marker" not in each.request.replaceOnChanges


@pytest.mark.parametrize(("name", "builder"), BUILT)
def test_the_same_arguments_make_the_same_resources(name: str, builder: Any) -> None:
    def shape(recording: Recording) -> list[tuple[str, str]]:
        return sorted((each.type, each.name) for each in recording.registrations)

    first, second = recorded(builder), observed(builder).recording
    assert shape(first) == shape(second)
    inputs = {each.urn: each.inputs for each in first.registrations}
    for each in second.registrations:
        provider = "__provider"
        assert {k: v for k, v in each.inputs.items() if k != provider} == {
            k: v for k, v in inputs[each.urn].items() if k != provider
        }, f"{each.name} of {name} is not the same twice"
