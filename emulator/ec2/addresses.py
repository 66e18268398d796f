"""IPv4 networks as EC2 and its provider look at them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from emulator.core.aws_type import known
from emulator.core.resource_type import Failure, Properties


def network_problem(inputs: Properties, name: str, version: int = 4) -> Iterable[Failure]:
    """A failure when a known value is no network in its canonical form."""
    value = inputs.get(name)
    if not known(value):
        return
    try:
        network = ipaddress.ip_network(str(value), strict=False)
    except ValueError:
        yield Failure(name, f"{value!r} is not a valid IPv{version} CIDR block")
        return
    if network.version != version or "/" not in str(value):
        yield Failure(name, f"{value!r} is not a valid IPv{version} CIDR block")
    elif str(network) != value:
        yield Failure(name, f'{value!r} is not a valid IPv{version} CIDR block; did you mean "{network}"?')


def inside(inner: str, outer: str) -> bool:
    """Whether all of a network is in another one."""
    return ipaddress.IPv4Network(inner).subnet_of(ipaddress.IPv4Network(outer))


def overlap(one: str, other: str) -> bool:
    """Whether two networks share addresses."""
    return ipaddress.IPv4Network(one).overlaps(ipaddress.IPv4Network(other))


def host_address(network: Any, start: int, taken: Iterable[str]) -> str:
    """An address of a subnet for an interface: the first free one from `start`; AWS keeps four and the last.

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
