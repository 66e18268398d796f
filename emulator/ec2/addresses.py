"""Networks and addresses of a VPC."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from emulator.core.checks import Check


def cidr_block(version: int = 4) -> Check:
    """The value is a network in its canonical form."""

    def check(_: str, value: Any) -> Iterable[str]:
        refusal = f"{value!r} is not a valid IPv{version} CIDR block"
        try:
            network = ipaddress.ip_network(str(value), strict=False)
        except ValueError:
            yield refusal
            return
        if network.version != version or "/" not in str(value):
            yield refusal
        elif str(network) != value:
            yield f'{refusal}; did you mean "{network}"?'

    return check


def inside(inner: str, outer: str) -> bool:
    """Whether all of a network is in another one."""
    return ipaddress.IPv4Network(inner).subnet_of(ipaddress.IPv4Network(outer))


def overlap(one: str, other: str) -> bool:
    """Whether two networks share addresses."""
    return ipaddress.IPv4Network(one).overlaps(ipaddress.IPv4Network(other))


def host_address(network: Any, start: int, taken: Iterable[str]) -> str:
    """An address of a subnet for an interface: the first free one from `start`.

    VPC user guide, "Subnet CIDR blocks": the first four addresses and the last one are AWS's own.

    Raises:
        ValueError: The subnet is full.
    """
    block, used = ipaddress.IPv4Network(network), set(taken)
    count = block.num_addresses - 5
    for offset in range(count):
        address = str(block[4 + (start + offset) % count])
        if address not in used:
            return address
    raise ValueError(f"subnet {network} has no free address")


def private_dns_name(address: Any, region: str) -> str:
    """Name of an address in the VPC's DNS."""
    return f"ip-{str(address).replace('.', '-')}.{region}.compute.internal"
