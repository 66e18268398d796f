"""The section `network`, and the networks of clients."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from postgres import networks
from settings.aws import SecurityGroupId, id_problems
from settings.problems import Path, Problem
from settings.quotas import FUNCTION_SUBNETS, SECURITY_GROUP_RULES, Quotas
from settings.section import Checked, Section, StrictBool, StrictInt, unique

# RFC 1918 and RFC 6598: a VPC with other addresses hides the part of the internet that owns them.
_PRIVATE = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
SUBNET_BITS = 3
"""A VPC is split into eight: four private and four public subnets, one of each to spare."""

_SMALLEST_SUBNET = 28  # of AWS
_LARGEST_VPC_PREFIX = 16
_SMALLEST_VPC_PREFIX = _SMALLEST_SUBNET - SUBNET_BITS


def vpc_cidr_problems(cidr: str) -> list[str]:
    """What is wrong with the addresses of a new VPC."""
    try:
        network = IPv4Network(cidr)
    except ValueError as error:
        return [f"is not a network: {error}"]
    found = []
    if network.prefixlen < _LARGEST_VPC_PREFIX:
        found.append(
            f"is a /{network.prefixlen}, larger than AWS takes; choose a /{_LARGEST_VPC_PREFIX} or smaller"
        )
    if network.prefixlen > _SMALLEST_VPC_PREFIX:
        found.append(
            f"is a /{network.prefixlen}, too small to split into eight subnets of at least 16 addresses; "
            f"choose a /{_SMALLEST_VPC_PREFIX} or larger"
        )
    if not any(network.subnet_of(private) for private in _PRIVATE):
        found.append(
            f"is outside the private ranges {', '.join(map(str, _PRIVATE))}; choose a network in one of them"
        )
    return found


VpcCidr = Annotated[str, Checked(vpc_cidr_problems, "a private IPv4 network from /16 to /25")]
VpcId = Annotated[str, Checked(id_problems("vpc"), "vpc- and 8 or 17 hexadecimal digits")]
SubnetId = Annotated[str, Checked(id_problems("subnet"), "subnet- and 8 or 17 hexadecimal digits")]
ClientNetwork = Annotated[
    str, Checked(networks.network_problems, "a network such as 10.30.0.0/24 or fd00::/64")
]


def _not_everywhere(given: tuple[str, ...]) -> tuple[str, ...]:
    if found := networks.everywhere_problems(given):
        raise ValueError("; ".join(found))
    return given


ClientNetworks = Annotated[tuple[ClientNetwork, ...], unique, AfterValidator(_not_everywhere)]


class CreatedNetwork(Section):
    """A new VPC with a public and a private subnet per zone."""

    cidr: VpcCidr = "10.20.0.0/16"
    """Addresses of the VPC; big enough for two subnets per zone of at least 16 addresses."""
    zones: StrictInt = Field(default=2, ge=2, le=3)
    """Number of availability zones."""
    nat_gateway_per_zone: StrictBool = False
    """One NAT gateway in each zone instead of one for all: dearer, and outlives the loss of a zone."""


class ExistingNetwork(Section):
    """A VPC and private subnets that are managed elsewhere."""

    vpc_id: VpcId = Field(examples=["vpc-0123456789abcdef0"])
    """The VPC."""
    private_subnet_ids: Annotated[tuple[SubnetId, ...], unique] = Field(
        min_length=1, max_length=FUNCTION_SUBNETS.limit, examples=[["subnet-0123456789abcdef0"]]
    )
    """Subnets with a way out to AWS and Debian's archive and none in; the first carries the server."""
    public_subnet_ids: Annotated[tuple[SubnetId, ...], unique] = ()
    """Subnets with a way in from the internet, for a gateway with `internal: false`."""


class Network(Section):
    """Where the servers live; exactly one of `create` and `existing`."""

    create: CreatedNetwork | None = None
    """Create a VPC."""
    existing: ExistingNetwork | None = None
    """Use an existing VPC."""


class AllowedClients(Section):
    """What may reach the server's port; anything else is dropped by the security group."""

    networks: ClientNetworks = ()
    """Networks of clients."""
    security_groups: Annotated[tuple[SecurityGroupId, ...], unique] = ()
    """Security groups of clients."""


def network_problems(network: Network) -> Iterator[Problem]:
    """Cross-field validation of a valid section `network`."""
    path: Path = ("network",)
    if network.create and network.existing:
        yield Problem(path, "has both create and existing; keep one of them")
    if not (network.create or network.existing):
        yield Problem(
            path, "has neither create nor existing; give one of them, for example create: {zones: 2}"
        )


def missing_network_problems(section: Path, network: Network | None) -> Iterator[Problem]:
    """A server without a network."""
    if network is None:
        yield Problem(
            section,
            "needs to know where the server lives; add a section network with create or existing",
            reads=(section, ("network",)),
        )


def security_group_problems(
    section: Path, clients: AllowedClients, quotas: Quotas, *, own_rules: int = 0
) -> Iterator[Problem]:
    """More clients than one security group takes; `own_rules` is what the program itself lets in."""
    versions = [ip_network(network).version for network in clients.networks]
    groups = len(clients.security_groups) + own_rules
    size = max(versions.count(4), versions.count(6)) + groups
    if excess := SECURITY_GROUP_RULES.excess(size, quotas):
        path = (*section, "allowedClients")
        yield Problem(path, f"makes {excess}; name fewer and wider networks", reads=(path, ("quotas",)))


def unreachable_server_problems(
    section: Path, clients: AllowedClients, roles: Collection[str]
) -> Iterator[Problem]:
    """A server with roles that nothing reaches."""
    if roles and not (clients.networks or clients.security_groups):
        path = (*section, "allowedClients")
        yield Problem(
            path,
            f"lets nobody reach the server, but there are roles ({', '.join(roles)}); "
            "name networks or securityGroups",
            reads=(path, (*section, "roles")),
        )
