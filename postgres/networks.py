"""Networks of clients."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ALLOWED = "an IPv4 or IPv6 network in CIDR form such as 10.30.0.0/24 or fd00:30::/64"
# RFC 4291, 2.4: the addresses of IPv6 that are given out.
_INTERNET = (ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("2000::/3"))
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def network_problems(text: str) -> list[str]:
    """Why `text` cannot be a network of clients; empty when it can.

    Refused: what is not a network, host names, host bits (PostgreSQL would ignore them), a missing
    prefix length, 0.0.0.0/0 and ::/0, and IPv4-mapped IPv6 (PostgreSQL sees such clients as IPv4).
    """
    address, slash, prefix = text.partition("/")
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        if re.search(r"[g-zG-Z_]", address) and ":" not in address:
            return [
                f"network {text!r} is a host name; PostgreSQL would look it up backwards: give {_ALLOWED}"
            ]
        return [f"network {text!r} is not a network; give {_ALLOWED}"]
    if not slash:
        return [
            f"network {text!r} has no prefix length; write {interface.with_prefixlen} for this one address"
        ]
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", prefix):
        return [f"network {text!r} has a mask, not a prefix length; write {interface.network}"]
    if "%" in text:
        return [f"network {text!r} has an interface scope, which pg_hba.conf cannot have; give {_ALLOWED}"]
    problems: list[str] = []
    if interface.network.prefixlen == 0:
        problems.append(f"network {text!r} is the whole internet; name the networks your clients are in")
    elif interface.ip != interface.network.network_address:
        problems.append(f"network {text!r} has host bits set; write {interface.network}")
    if isinstance(interface, ipaddress.IPv6Interface) and interface.ip in _MAPPED:
        problems.append(f"network {text!r} is IPv4 written as IPv6, which never matches; write it as IPv4")
    return problems


def parse_network(text: str) -> Network:
    """The network that `text` names.

    Raises:
        ValueError: network_problems finds something; the message is its text.
    """
    problems = network_problems(text)
    if problems:
        raise ValueError("; ".join(problems))
    return ipaddress.ip_network(text)


def are_everywhere(networks: Iterable[Network]) -> bool:
    """Whether the networks together are half of the internet or more, in one version of IP."""
    given = list(networks)
    return any(
        2 * sum(min(each.num_addresses, whole.num_addresses) for each in _inside(given, whole))
        >= whole.num_addresses
        for whole in _INTERNET
    )


def everywhere_problems(texts: Iterable[str]) -> list[str]:
    """Why valid networks of clients cannot stand beside each other; empty when they can."""
    given = list(texts)
    if not are_everywhere(parse_network(text) for text in given):
        return []
    together = "is" if len(given) == 1 else "are together"
    return [
        f"{', '.join(given)} {together} half of the internet or more; name the networks your clients are in"
    ]


def _inside(networks: Iterable[Network], whole: Network) -> list[Network]:
    """Those of one version that are a part of `whole` or contain it, without overlaps."""
    if isinstance(whole, ipaddress.IPv4Network):
        given4 = [each for each in networks if isinstance(each, ipaddress.IPv4Network)]
        return list(ipaddress.collapse_addresses(given4))
    given6 = [each for each in networks if isinstance(each, ipaddress.IPv6Network)]
    return [each for each in ipaddress.collapse_addresses(given6) if each.overlaps(whole)]
