"""The division of a VPC's addresses into subnets. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from settings.network import SUBNET_BITS

MAX_ZONES = 3
_SMALLEST = 28  # AWS's smallest subnet


@dataclass(frozen=True, kw_only=True)
class SubnetPlan:
    """Addresses of the subnets, one of each kind per zone."""

    private: tuple[str, ...]
    public: tuple[str, ...]


def plan_subnets(cidr: str, zones: int) -> SubnetPlan:
    """Divide a VPC's network. Adding a zone moves no existing subnet.

    Raises:
        ValueError: Too small a network, or a number of zones other than 1 to 3.
    """
    network = ipaddress.IPv4Network(cidr)
    if not 1 <= zones <= MAX_ZONES:
        raise ValueError(f"zones: {zones}; must be from 1 to {MAX_ZONES}")
    prefix = network.prefixlen + SUBNET_BITS
    if prefix > _SMALLEST:
        raise ValueError(
            f"cidr: {cidr} is too small for {MAX_ZONES} zones of two subnets with 16 addresses or more; "
            f"take a network of /{_SMALLEST - SUBNET_BITS} or larger"
        )
    parts = [str(part) for part in network.subnets(new_prefix=prefix)]
    half = len(parts) // 2
    return SubnetPlan(private=tuple(parts[:zones]), public=tuple(parts[half : half + zones]))
