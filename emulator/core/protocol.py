"""The gRPC protocol between engine and providers.

Source: `proto/pulumi/provider.proto` of pulumi/pulumi.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from emulator.core.autonaming import Autonaming, AutonamingMode
from emulator.core.properties import decode, encode, mark_secrets, reveal
from emulator.core.provider import Provider
from emulator.core.request import Request
from emulator.core.resource_type import Diff, Failure, PartlyCreated, Properties, Refused, changed

# The engine opens a connection per provider instance and closes it when a run ends: old ones can go.
_REMEMBERED_CONNECTIONS = 4096
Context = grpc.ServicerContext
_AboutResource = (
    pb.CheckRequest | pb.DiffRequest | pb.CreateRequest | pb.ReadRequest | pb.UpdateRequest | pb.DeleteRequest
)
_log = logging.getLogger(__name__)


class ProtocolServicer(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol. One servicer serves all instances of a package, told apart by connection."""

    def __init__(self, provider: Provider) -> None:
        """Speaks for a provider."""
        self._provider = provider
        self._configurations: OrderedDict[str, Properties] = OrderedDict()
        self._lock = threading.Lock()

    def Handshake(
        self, request: pb.ProviderHandshakeRequest, context: Context
    ) -> pb.ProviderHandshakeResponse:
        """First call of a connection."""
        self._forget(context.peer())
        return pb.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:
        """The engine says that it uses a provider which already runs."""
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:
        """Version of the installed SDK: the engine warns when they differ."""
        return plugin_pb2.PluginInfo(version=self._provider.version)

    def GetSchema(self, request: pb.GetSchemaRequest, context: Context) -> pb.GetSchemaResponse:
        """Name and version only; nothing in the sandbox generates code from it."""
        schema = {"name": self._provider.package, "version": self._provider.version}
        return pb.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        """Arguments of a provider instance."""
        news = decode(request.news)
        with _refusals(context):
            return _check_response(news, self._provider.check_configuration(self._parsed(news)))

    def DiffConfig(self, request: pb.DiffRequest, context: Context) -> pb.DiffResponse:
        """A changed argument updates the provider in place, as the real ones do."""
        olds = decode(request.old_inputs) or decode(request.olds)
        return _diff_response(Diff(changes=changed(reveal(olds), reveal(decode(request.news)))))

    def Configure(self, request: pb.ConfigureRequest, context: Context) -> pb.ConfigureResponse:
        """Keeps the configuration of this connection's provider instance."""
        with _refusals(context):
            configuration = self._provider.configure(self._parsed(decode(request.args)))
        with self._lock:
            self._configurations[context.peer()] = configuration
            while len(self._configurations) > _REMEMBERED_CONNECTIONS:
                self._configurations.popitem(last=False)
        return pb.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        """Validates and completes inputs."""
        news = decode(request.news)
        autonaming = None
        if request.HasField("autonaming"):
            mode = AutonamingMode(request.autonaming.mode)
            autonaming = Autonaming(proposed_name=request.autonaming.proposed_name, mode=mode)
        with _refusals(context):
            asked = self._request(context, request, inputs=news, old_inputs=decode(request.olds))
            asked = replace(asked, random_seed=request.randomSeed, autonaming=autonaming)
            inputs, failures = self._provider.type_for(asked.type_token).check(asked)
            return _check_response(mark_secrets(inputs, news), failures)

    def Diff(self, request: pb.DiffRequest, context: Context) -> pb.DiffResponse:
        """Compares what exists with what is wanted."""
        inputs, old_inputs, outputs = map(decode, (request.news, request.old_inputs, request.olds))
        with _refusals(context):
            asked = self._request(context, request, inputs=inputs, old_inputs=old_inputs, outputs=outputs)
            return _diff_response(self._provider.type_for(asked.type_token).diff(asked))

    def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:
        """Creates, or says in a preview what creation would give."""
        inputs = decode(request.properties)
        with _refusals(context, inputs):
            asked = self._request(context, request, preview=request.preview, inputs=inputs)
            handler = self._provider.type_for(asked.type_token)
            resource_id, outputs = handler.create(asked)
            if not resource_id and not request.preview:
                raise Refused(
                    f"the stand-in of {asked.type_token} gave no id; this is an error of the sandbox"
                )
            marked = mark_secrets(outputs, inputs, handler.secret_outputs)
            return pb.CreateResponse(id=resource_id, properties=encode(marked))

    def Read(self, request: pb.ReadRequest, context: Context) -> pb.ReadResponse:
        """What exists now; an empty answer when it is gone."""
        inputs, outputs = decode(request.inputs), decode(request.properties)
        with _refusals(context):
            asked = self._request(context, request, inputs=inputs, outputs=outputs)
            handler = self._provider.type_for(asked.type_token)
            found = handler.read(asked)
            if found is None:
                return pb.ReadResponse()
            return pb.ReadResponse(
                id=found.id,
                inputs=encode(mark_secrets(found.inputs, inputs)),
                properties=encode(mark_secrets(found.outputs, {**outputs, **inputs}, handler.secret_outputs)),
            )

    def Update(self, request: pb.UpdateRequest, context: Context) -> pb.UpdateResponse:
        """Changes in place."""
        inputs, old_inputs, outputs = map(decode, (request.news, request.old_inputs, request.olds))
        with _refusals(context, inputs):
            asked = self._request(
                context,
                request,
                preview=request.preview,
                inputs=inputs,
                old_inputs=old_inputs,
                outputs=outputs,
            )
            handler = self._provider.type_for(asked.type_token)
            marked = mark_secrets(handler.update(asked), inputs, handler.secret_outputs)
            return pb.UpdateResponse(properties=encode(marked))

    def Delete(self, request: pb.DeleteRequest, context: Context) -> empty_pb2.Empty:
        """Deletes."""
        inputs, outputs = decode(request.old_inputs), decode(request.properties)
        with _refusals(context):
            asked = self._request(context, request, inputs=inputs, outputs=outputs)
            self._provider.type_for(asked.type_token).delete(asked)
        return empty_pb2.Empty()

    def Invoke(self, request: pb.InvokeRequest, context: Context) -> pb.InvokeResponse:
        """Calls a function."""
        with _refusals(context):
            asked = Request(
                type_token=request.tok,
                configuration=self._configuration(context.peer()),
                preview=request.preview,
                inputs=reveal(decode(request.args)),
            )
            result = self._provider.function_for(request.tok)(asked)
            response = pb.InvokeResponse()
            getattr(response, "return").CopyFrom(encode(result))
            return response

    def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        """The user interrupted: running calls are short, so they end by themselves."""
        return empty_pb2.Empty()

    def _request(
        self, context: Context, message: _AboutResource, *, preview: bool = False, **properties: Properties
    ) -> Request:
        # urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>; names may hold "::" themselves.
        _, _, types, name = message.urn.split("::", 3)
        return Request(
            urn=message.urn,
            type_token=types.rsplit("$", 1)[-1],
            name=name,
            configuration=self._configuration(context.peer()),
            preview=preview,
            id=getattr(message, "id", ""),
            **{kind: reveal(values) for kind, values in properties.items()},
        )

    def _parsed(self, arguments: Properties) -> dict[str, Any]:
        return {
            name: value if name in self._provider.text_arguments else _parsed(value)
            for name, value in reveal(arguments).items()
        }

    def _configuration(self, peer: str) -> Properties:
        with self._lock:
            configuration = self._configurations.get(peer)
        if configuration is None:
            raise Refused(
                f"the {self._provider.package} stand-in got a call on a connection that was not configured "
                f"({peer}); run the deployment again"
            )
        return configuration

    def _forget(self, peer: str) -> None:
        with self._lock:
            self._configurations.pop(peer, None)


@contextmanager
def _refusals(context: Context, inputs: Properties = MappingProxyType({})) -> Iterator[None]:
    """Turns exceptions of handlers into errors of the protocol; partly created resources keep their state."""
    try:
        yield
    except PartlyCreated as error:
        state = pb.ErrorResourceInitFailed(
            id=error.resource_id,
            properties=encode(mark_secrets(error.outputs, inputs)),
            reasons=[str(error)],
            inputs=encode(inputs),
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
        status.details.add().Pack(state)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except Refused as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except Exception as error:  # noqa: BLE001 - the boundary to the engine, which is told of every error
        _log.error("unexpected error in a stand-in", exc_info=error)
        context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")


def _parsed(value: Any) -> Any:
    """An argument of a provider: the engine sends everything but text as JSON in a string."""
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    return value if isinstance(parsed, str) else parsed


def _check_response(inputs: Properties, failures: Sequence[Failure]) -> pb.CheckResponse:
    refused = [pb.CheckFailure(property=item.property, reason=item.reason) for item in failures]
    return pb.CheckResponse(inputs=encode(inputs), failures=refused)


def _diff_response(difference: Diff) -> pb.DiffResponse:
    return pb.DiffResponse(
        changes=pb.DiffResponse.DIFF_SOME if difference.changes else pb.DiffResponse.DIFF_NONE,
        diffs=list(difference.changes),
        replaces=list(difference.replaces),
        deleteBeforeReplace=difference.delete_before_replace,
    )
