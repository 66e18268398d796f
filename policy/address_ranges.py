"""Ranges of IP addresses, of both versions."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from types import MappingProxyType

Ranges = list[tuple[int, int, int]]
"""IP version, first and last address as numbers; sorted, and none touches another."""

_LAST = MappingProxyType({4: 2**32 - 1, 6: 2**128 - 1})
# Broader ranges count as public. Source: S3 User Guide, "The meaning of 'public'".
_BROADEST_PREFIX = MappingProxyType({4: 8, 6: 32})
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")


def _joined(parts: Iterable[tuple[int, int, int]]) -> Ranges:
    result: Ranges = []
    for version, low, high in sorted(parts):
        if result and result[-1][0] == version and low <= result[-1][2] + 1:
            result[-1] = (version, result[-1][1], max(high, result[-1][2]))
        else:
            result.append((version, low, high))
    return result


def ranges(texts: Iterable[str]) -> Ranges:
    """The ranges of addresses and networks; what is neither is left out."""
    found: Ranges = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            continue
        found.append((network.version, int(network.network_address), int(network.broadcast_address)))
    return _joined(found)


def others(than: Ranges) -> Ranges:
    """All other addresses."""
    result: Ranges = []
    for version, last in _LAST.items():
        start = 0
        for _, low, high in (each for each in than if each[0] == version):
            if low > start:
                result.append((version, start, low - 1))
            start = high + 1
        if start <= last:
            result.append((version, start, last))
    return result


def common(one: Ranges, other: Ranges) -> Ranges:
    """The addresses in both."""
    return _joined(
        (version, max(low, first), min(high, last))
        for version, low, high in one
        for same, first, last in other
        if same == version and max(low, first) <= min(high, last)
    )


def are_public(found: Ranges) -> bool:
    """Whether a range is so broad that it cannot be one's own network."""
    return any(
        high - low + 1 > 2 ** (_LAST[version].bit_length() - _BROADEST_PREFIX[version])
        for version, low, high in common(found, others(ranges(_PRIVATE)))
    )


def is_address(text: str) -> bool:
    """Whether a text is one address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
