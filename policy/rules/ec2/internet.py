"""How much of the internet a set of networks is."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from policy.floor import LARGEST_PUBLIC_SHARE

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IPv4 addresses that no router of the internet forwards (RFC 6890), and classes D and E.
_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",
    )
)
_PUBLIC_IPV4 = 2**32 - sum(each.num_addresses for each in _NOT_PUBLIC)
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
"""Global unicast, the only part of IPv6 that IANA allocates from (RFC 4291, 2.4)."""


def share(networks: Iterable[Network]) -> float:
    """The part of the public addresses that is in any of the networks, from 0 to 1.

    IPv4 and IPv6 are counted apart, and the larger share counts: a client needs one address.
    """
    return _share(frozenset(networks))


@lru_cache(maxsize=1024)
def _share(networks: frozenset[Network]) -> float:
    ipv4 = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv4Network))
    ipv6 = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv6Network))
    public = sum(
        each.num_addresses - sum(_common(each, reserved) for reserved in _NOT_PUBLIC) for each in ipv4
    )
    allocated = sum(_common(each, _PUBLIC_IPV6) for each in ipv6)
    return max(public / _PUBLIC_IPV4, allocated / _PUBLIC_IPV6.num_addresses)


def is_the_internet(networks: Iterable[Network]) -> bool:
    """Whether the networks together are so much of the internet that they protect from nobody."""
    return share(networks) >= LARGEST_PUBLIC_SHARE


def _common(one: Network, other: Network) -> int:
    """How many addresses are in both: two networks are apart, or one is in the other."""
    if one.version != other.version or not one.overlaps(other):
        return 0
    return min(one.num_addresses, other.num_addresses)
