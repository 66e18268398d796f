"""The aws stand-in behind its real gRPC server, on a running endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from emulator.acm.service import Certificates
from emulator.autoscaling.service import Groups
from emulator.aws import AwsProvider
from emulator.core.properties import decode, encode
from emulator.core.servicer import ProviderServer
from emulator.ec2.machines import Machines
from emulator.elb.service import LoadBalancers
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.lambda_.service import Functions
from emulator.postgresql_server.server_user import server_user
from emulator.rds.databases import Databases

STACK = "urn:pulumi:sandbox::passwordless-postgres::"


class Engine:
    """Speaks the protocol as the engine does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        self.endpoint = AwsEndpoint(self.folder)
        self.endpoint.start()
        self.machines = Machines(
            self.folder, self.endpoint.url, self.endpoint.metadata, {17: Path("/nowhere")}
        )
        self.machines.start()
        self.functions = Functions(self.folder, self.endpoint)
        self.certificates = Certificates(self.folder)
        self.balancers = LoadBalancers(self.folder, self.certificates)
        self.balancers.start()
        self.groups = Groups(self.folder, self.endpoint, self.balancers, server_user())
        self.groups.start()
        self.endpoint.on_write(self.machines.notice)
        self.provider = AwsProvider(
            self.endpoint,
            self.machines,
            self.open_databases(),
            self.functions,
            self.certificates,
            self.balancers,
            self.groups,
        )
        self.server = ProviderServer(self.provider)
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)
        self.stub.Configure(provider_pb2.ConfigureRequest(args=encode({"region": "eu-central-1"})))

    def open_databases(self) -> Databases | None:
        """RDS instances, for tests that bring some to life."""
        return None

    def close(self) -> None:
        self.channel.close()
        self.server.stop()
        self.functions.stop()
        self.groups.stop()
        self.balancers.stop()
        self.machines.stop()
        self.provider.registry.close()
        self.endpoint.stop()

    def restart(self) -> None:
        self.close()
        self.open()

    def check(self, token: str, name: str, inputs: Mapping[str, Any], olds: Mapping[str, Any] | None = None):
        answer = self.stub.Check(
            provider_pb2.CheckRequest(
                urn=f"{STACK}{token}::{name}",
                news=encode(inputs),
                olds=encode(olds or {}),
                randomSeed=b"0" * 32,
            )
        )
        return decode(answer.inputs), {item.property: item.reason for item in answer.failures}

    def create(self, token: str, name: str, inputs: Mapping[str, Any], *, preview: bool = False):
        checked, failures = self.check(token, name, inputs)
        assert not failures, failures
        answer = self.stub.Create(
            provider_pb2.CreateRequest(
                urn=f"{STACK}{token}::{name}", properties=encode(checked), preview=preview
            )
        )
        return answer.id, decode(answer.properties), checked

    def diff(self, token: str, name: str, resource_id: str, old: Mapping[str, Any], new: Mapping[str, Any]):
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=resource_id,
                urn=f"{STACK}{token}::{name}",
                old_inputs=encode(old),
                olds=encode(old),
                news=encode(new),
            )
        )

    def update(
        self, token: str, name: str, resource_id: str, *values: Mapping[str, Any], preview: bool = False
    ):
        old, outputs, new = values
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=resource_id,
                urn=f"{STACK}{token}::{name}",
                old_inputs=encode(old),
                olds=encode(outputs),
                news=encode(new),
                preview=preview,
            )
        )
        return decode(answer.properties)

    def read(self, token: str, name: str, resource_id: str, inputs: Mapping[str, Any] | None = None):
        return self.stub.Read(
            provider_pb2.ReadRequest(
                id=resource_id, urn=f"{STACK}{token}::{name}", inputs=encode(inputs or {})
            )
        )

    def delete(
        self, token: str, name: str, resource_id: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ):
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=resource_id,
                urn=f"{STACK}{token}::{name}",
                old_inputs=encode(inputs),
                properties=encode(outputs),
            )
        )

    def invoke(self, token: str, arguments: Mapping[str, Any] | None = None):
        answer = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=encode(arguments or {})))
        return decode(getattr(answer, "return"))

    def refused(self, action) -> str:
        with pytest.raises(grpc.RpcError) as refusal:
            action()
        return str(refusal.value.details())  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    running = Engine(tmp_path)
    yield running
    running.groups.stop_all()
    running.close()
