from __future__ import annotations

import importlib.metadata
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, status_pb2

from emulator.core.properties import UNKNOWN, Secret, contains_unknown, decode
from emulator.core.provider import Provider
from emulator.core.request import Request
from emulator.core.resource_type import Failure, PartlyCreated, Refused, ResourceType
from emulator.core.servicer import ProviderServer

TOKEN = "demo:index/thing:Thing"


class Thing(ResourceType):
    token = TOKEN
    replace_on = frozenset({"zone"})
    secret_outputs = frozenset({"password"})

    def check(self, request: Request) -> tuple[Mapping[str, Any], Sequence[Failure]]:
        failures = [Failure("size", "must be positive, got -1")] if request.inputs.get("size") == -1 else []
        return request.autoname(), failures

    def create(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        if request.inputs["name"] == "refused":
            raise Refused("thing 'refused' is not allowed; choose another name")
        if request.inputs["name"] == "broken":
            raise KeyError("oops")
        if request.inputs["name"] == "half":
            raise PartlyCreated(
                "made, but not finished", "id-half", {"name": "half", "token": request.inputs["token"]}
            )
        assert not isinstance(request.inputs.get("token"), Secret)
        outputs = {**request.inputs, "arn": f"arn:{request.inputs['name']}", "password": "generated"}
        return f"id-{request.inputs['name']}", {**outputs, "region": request.configuration.get("region")}


@pytest.fixture
def server(serve: Callable[[Provider], ProviderServer]) -> ProviderServer:
    functions = {"demo:index/where:where": lambda request: {"region": request.configuration["region"]}}
    return serve(Provider("tls", [Thing()], functions))


def test_the_version_is_the_installed_sdk(server: ProviderServer, connect: Callable[..., Any]) -> None:
    client = connect(server)
    assert client.version() == importlib.metadata.version("pulumi-tls")
    assert client.handshake.accept_secrets


def test_secrets_in_are_secrets_out(server: ProviderServer, connect: Callable[..., Any]) -> None:
    resource_id, outputs = connect(server, {"region": "r"}).create(
        TOKEN, {"name": "a", "token": Secret("t"), "tags": {"x": Secret("y"), "z": "open"}}
    )
    assert resource_id == "id-a"
    assert outputs["token"] == Secret("t")
    assert outputs["tags"] == {"x": Secret("y"), "z": "open"}
    assert outputs["password"] == Secret("generated")
    assert outputs["arn"] == "arn:a"


def test_a_preview_answers_ids_and_unknowns(server: ProviderServer, connect: Callable[..., Any]) -> None:
    resource_id, outputs = connect(server, {}).create(TOKEN, {"name": "a", "size": UNKNOWN}, preview=True)
    assert (resource_id, outputs["arn"]) == ("id-a", "arn:a")
    assert contains_unknown(outputs["size"])


def test_check_keeps_secrets_and_names(server: ProviderServer, connect: Callable[..., Any]) -> None:
    client = connect(server, {})
    inputs, failures = client.check(TOKEN, {"token": Secret("t"), "size": -1}, randomSeed=b"seed")
    assert inputs["token"] == Secret("t")
    assert failures == ["size: must be positive, got -1"]
    assert inputs["name"].startswith("thing-")
    assert len(inputs["name"]) == len("thing-") + 7
    again, _ = client.check(TOKEN, {}, randomSeed=b"seed")
    assert again["name"] == inputs["name"]
    kept, _ = client.check(TOKEN, {}, {"name": "old"}, randomSeed=b"other")
    assert kept["name"] == "old"
    given, _ = client.check(TOKEN, {"name": "mine"}, {"name": "old"}, randomSeed=b"other")
    assert given["name"] == "mine"


def test_the_engine_may_propose_enforce_and_disable_names(
    server: ProviderServer, connect: Callable[..., Any]
) -> None:
    client = connect(server, {})
    options = provider_pb2.CheckRequest.AutonamingOptions
    proposed, _ = client.check(
        TOKEN, {}, autonaming=options(proposed_name="short", mode=options.Mode.PROPOSE)
    )
    assert proposed["name"] == "short"
    long = "a" * 64
    cut, _ = client.check(TOKEN, {}, autonaming=options(proposed_name=long, mode=options.Mode.PROPOSE))
    assert cut["name"] != long
    assert len(cut["name"]) <= 63
    with pytest.raises(grpc.RpcError, match="at most 63 are allowed"):
        client.check(TOKEN, {}, autonaming=options(proposed_name=long, mode=options.Mode.ENFORCE))
    with pytest.raises(grpc.RpcError, match="automatic naming is disabled"):
        client.check(TOKEN, {}, autonaming=options(mode=options.Mode.DISABLE))


@pytest.mark.parametrize(
    ("old", "new", "changes", "replaces"),
    [
        ({"size": 1}, {"size": 1}, [], []),
        ({"size": 1}, {"size": 2}, ["size"], []),
        ({"size": 1}, {}, ["size"], []),
        ({"zone": "a"}, {"zone": "b", "size": 1}, ["size", "zone"], ["zone"]),
        ({"zone": "a"}, {"zone": UNKNOWN}, ["zone"], ["zone"]),
        ({"token": Secret("t")}, {"token": "t"}, [], []),
    ],
)
def test_differences(
    server: ProviderServer, connect: Callable[..., Any], *, old: Any, new: Any, changes: Any, replaces: Any
) -> None:
    answer = connect(server, {}).diff(TOKEN, old, {}, new)
    assert (list(answer.diffs), list(answer.replaces)) == (changes, replaces)
    assert answer.changes == (answer.DIFF_SOME if changes else answer.DIFF_NONE)


def test_instances_of_one_provider_have_their_own_configuration(
    server: ProviderServer, connect: Callable[..., Any]
) -> None:
    one, other = connect(server, {"region": "one"}), connect(server, {"region": "other"})
    assert [client.create(TOKEN, {"name": "a"})[1]["region"] for client in (one, other, one)] == [
        "one",
        "other",
        "one",
    ]
    assert other.invoke("demo:index/where:where", {}) == {"region": "other"}


def test_arguments_of_an_instance_arrive_with_their_types(
    serve: Callable[[Provider], ProviderServer], connect: Callable[..., Any]
) -> None:
    seen: list[Mapping[str, Any]] = []

    class Typed(Provider):
        text_arguments = frozenset({"accessKey"})

        def configure(self, configuration: Mapping[str, Any]) -> Mapping[str, Any]:
            seen.append(configuration)
            return configuration

    server = serve(Typed("tls"))
    connect(
        server,
        {"port": "5432", "on": "true", "cert": Secret('{"key": "k"}'), "host": "h", "accessKey": "123"},
    )
    assert seen == [{"port": 5432, "on": True, "cert": {"key": "k"}, "host": "h", "accessKey": "123"}]


def test_a_call_before_configure_is_refused(server: ProviderServer, connect: Callable[..., Any]) -> None:
    with pytest.raises(grpc.RpcError, match="connection that was not configured"):
        connect(server).create(TOKEN, {"name": "a"})


@pytest.mark.parametrize("token", ["demo:index/other:Other", "demo:index/nothing:nothing"])
def test_what_has_no_stand_in_is_refused_by_name(
    server: ProviderServer, connect: Callable[..., Any], token: str
) -> None:
    client = connect(server, {})
    with pytest.raises(grpc.RpcError, match=f"{token} has no stand-in"):
        client.invoke(token, {}) if "nothing" in token else client.create(token, {})


def test_a_refusal_is_the_message_alone(server: ProviderServer, connect: Callable[..., Any]) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        connect(server, {}).create(TOKEN, {"name": "refused"})
    assert refused.value.details() == "thing 'refused' is not allowed; choose another name"  # type: ignore[attr-defined]


def test_an_unexpected_error_names_its_type(server: ProviderServer, connect: Callable[..., Any]) -> None:
    with pytest.raises(grpc.RpcError) as broken:
        connect(server, {}).create(TOKEN, {"name": "broken"})
    assert broken.value.details() == "KeyError: 'oops'"  # type: ignore[attr-defined]


def test_what_was_partly_created_keeps_its_state(server: ProviderServer, connect: Callable[..., Any]) -> None:
    with pytest.raises(grpc.RpcError) as error:
        connect(server, {}).create(TOKEN, {"name": "half", "token": Secret("t")})
    trailing: Any = error.value.trailing_metadata()  # type: ignore[attr-defined]
    (details,) = [value for name, value in trailing if name == "grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    state = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(state)
    assert (state.id, list(state.reasons)) == ("id-half", ["made, but not finished"])
    assert decode(state.properties)["token"] == Secret("t")


def test_reads_updates_and_deletes_have_defaults(server: ProviderServer, connect: Callable[..., Any]) -> None:
    client = connect(server, {})
    inputs = {"name": "a", "token": Secret("t")}
    resource_id, outputs = client.create(TOKEN, inputs)
    assert client.read(TOKEN, resource_id, inputs, outputs) == (resource_id, outputs)
    updated = client.update(TOKEN, resource_id, inputs, outputs, {**inputs, "size": 3})
    assert updated == {**outputs, "size": 3}
    client.delete(TOKEN, resource_id, inputs, outputs)


def test_two_handlers_of_one_type_are_refused() -> None:
    with pytest.raises(ValueError, match="two stand-ins for the type demo:index/thing:Thing"):
        Provider("tls", [Thing(), Thing()])


def test_it_listens_on_loopback_only(server: ProviderServer) -> None:
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", server.port), 1):
        pass


def test_a_taken_port_is_an_error(server: ProviderServer) -> None:
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{server.port}"):
        ProviderServer(Provider("tls"), server.port)
