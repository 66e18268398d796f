"""The stand-in providers of a preview: nothing runs behind them, and what exists elsewhere is believed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emulator.aws import AwsProvider
from emulator.core.aws_type import Backends
from emulator.core.endpoint import AwsEndpoint
from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, State
from emulator.core.servicer import ProviderServer
from emulator.ec2.machines import Machines
from emulator.ec2.network import Subnet
from emulator.ec2.zones import zone_names
from emulator.postgresql import PostgresqlProvider
from emulator.tls.provider import TlsProvider
from engine.project import PROJECT

_NETWORK = f"{PROJECT}:network"


@dataclass(frozen=True, kw_only=True)
class ExistingNetwork:
    """The network that a stack file names, as far as a preview can know it."""

    vpc_id: str
    subnet_ids: Sequence[str]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ExistingNetwork:
        """What the section `config` of a stack file says; `settings.py` judges it, not this."""
        section = config.get(_NETWORK)
        existing = section.get("existing") if isinstance(section, Mapping) else None
        named = existing if isinstance(existing, Mapping) else {}
        subnets = named.get("privateSubnetIds")
        return cls(
            vpc_id=str(named.get("vpcId", "")),
            subnet_ids=[str(subnet) for subnet in subnets] if isinstance(subnets, list) else [],
        )


class SubnetElsewhere(Subnet):
    """`ec2.Subnet` that also finds those of an existing network: in its VPC, one zone after the other."""

    def __init__(self, backends: Backends, network: ExistingNetwork) -> None:
        super().__init__(backends)
        self._network = network

    def read(self, request: Request) -> State | None:
        """The subnet, None when the stack file names no such one."""
        if request.id not in self._network.subnet_ids:
            return None
        zones = zone_names(self.request(request, 0).region)
        position = self._network.subnet_ids.index(request.id)
        known = {"vpcId": self._network.vpc_id, "availabilityZone": zones[position % len(zones)]}
        found = self.request(replace(request, inputs=known), 0)
        return State(id=request.id, inputs=known, outputs=self.outputs(found))


class PreviewedAws(AwsProvider):
    """The aws types, in whatever account the stack file wants to be."""

    def __init__(self, endpoint: AwsEndpoint, machines: Machines, network: ExistingNetwork) -> None:
        super().__init__(endpoint, machines)
        subnet = SubnetElsewhere(Backends(endpoint, machines, self.registry), network)
        self.types[subnet.token] = subnet

    def check_configuration(self, configuration: Properties) -> Sequence[Failure]:
        """Nothing: a preview touches no account, so a stack file that allows only its own is right here."""
        del configuration
        return ()


@dataclass(frozen=True, kw_only=True)
class StandIns:
    """Where they listen, and how the program reaches their AWS."""

    providers: Mapping[str, int]
    aws: Mapping[str, str]


@contextlib.contextmanager
def stand_ins(folder: Path, network: ExistingNetwork) -> Iterator[StandIns]:
    """Serve from this process until the block ends.

    Args:
        folder: Takes what they write.
        network: What exists elsewhere.
    """
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(AwsEndpoint(folder))
        # Machines boot when an instance is created, which a preview never does.
        machines = Machines(folder, endpoint.url, endpoint.metadata, binaries={})
        ports = {}
        for provider in (
            PreviewedAws(endpoint, machines, network),
            TlsProvider(),
            PostgresqlProvider(endpoint.operator),
        ):
            ports[provider.package] = stack.enter_context(ProviderServer(provider)).port
        yield StandIns(providers=ports, aws=endpoint.operator_environment)
