"""The emulator's providers for a preview: nothing runs behind them, and existing resources need not exist."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emulator.aws import AwsProvider
from emulator.core.registry import Registry
from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, State
from emulator.core.servicer import ProviderServer
from emulator.ec2.network import Subnet
from emulator.ec2.zones import zone_names
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.postgresql import PostgresqlProvider
from emulator.tls.provider import TlsProvider
from engine.project import PROJECT

_NETWORK = f"{PROJECT}:network"


@dataclass(frozen=True, kw_only=True)
class ExistingNetwork:
    """The existing network that a stack file names, as far as a preview can know it."""

    vpc_id: str
    subnet_ids: Sequence[str]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ExistingNetwork:
        """Read it from the section `config` of a stack file; `settings` validates its values."""
        section = config.get(_NETWORK)
        existing = section.get("existing") if isinstance(section, Mapping) else None
        named = existing if isinstance(existing, Mapping) else {}
        subnets = named.get("privateSubnetIds")
        return cls(
            vpc_id=str(named.get("vpcId", "")),
            subnet_ids=[str(subnet) for subnet in subnets] if isinstance(subnets, list) else [],
        )


class SubnetElsewhere(Subnet):
    """`ec2.Subnet` that also finds the subnets of the existing network, one per availability zone in turn."""

    def __init__(self, endpoint: AwsEndpoint, registry: Registry, network: ExistingNetwork) -> None:
        super().__init__(endpoint, registry)
        self._network = network

    def read(self, request: Request) -> State | None:
        """The subnet; None when the stack file does not name it."""
        if request.id not in self._network.subnet_ids:
            return None
        zones = zone_names(self.request(request, 0).region)
        position = self._network.subnet_ids.index(request.id)
        known = {"vpcId": self._network.vpc_id, "availabilityZone": zones[position % len(zones)]}
        found = self.request(replace(request, inputs=known), 0)
        return State(id=request.id, inputs=known, outputs=self.outputs(found))


class PreviewedAws(AwsProvider):
    """The aws types, in any account."""

    def __init__(self, endpoint: AwsEndpoint, network: ExistingNetwork) -> None:
        super().__init__(endpoint)
        subnet = SubnetElsewhere(endpoint, self.registry, network)
        self.types[subnet.token] = subnet

    def check_configuration(self, configuration: Properties) -> Sequence[Failure]:
        """Accept a stack file that allows only its own account: a preview touches none."""
        del configuration
        return ()


@contextlib.contextmanager
def stand_ins(folder: Path, network: ExistingNetwork) -> Iterator[tuple[dict[str, int], dict[str, str]]]:
    """Serve from this process with state in `folder`; yields ports by package, and AWS's variables."""
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(AwsEndpoint(folder))
        ports = {}
        for provider in (
            PreviewedAws(endpoint, network),
            TlsProvider(),
            PostgresqlProvider(endpoint.operator),
        ):
            ports[provider.package] = stack.enter_context(ProviderServer(provider)).port
        yield ports, endpoint.operator_environment
