"""Host names of RDS: the region in them, and whether a name may be an alias of one.

An endpoint is `<id>.<hash>.<region>.rds.amazonaws.com`, in China `<id>.<hash>.rds.<region>.amazonaws.com.cn`
(and in older accounts `<region>.rds.amazonaws.com.cn`). A token is signed for exactly such a name.
"""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ENDPOINT = re.compile(
    rf"{_LABEL}\.{_LABEL}\."
    r"(?:(?P<before>[a-z]{2}(?:-[a-z]+)+-[0-9]+)\.rds|rds\.(?P<after>[a-z]{2}(?:-[a-z]+)+-[0-9]+))"
    r"\.amazonaws\.(?:com|com\.cn|eu)"
)


def normalised(host: str) -> str:
    """An RDS endpoint in lower case and without a final dot, as RDS writes it; other names unchanged."""
    plain = host.lower().removesuffix(".")
    return plain if _ENDPOINT.fullmatch(plain) else host


def region_in(host: str) -> str | None:
    """The region in an RDS endpoint; None for any other host."""
    found = _ENDPOINT.fullmatch(host.lower().removesuffix("."))
    return (found["before"] or found["after"]) if found else None


def may_be_alias(host: str) -> bool:
    """Whether `host` could be an alias of an endpoint: not an endpoint, an address or localhost itself."""
    name = host.lower().removesuffix(".")
    if region_in(name) or name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return bool(name)
    return False


def canonical_name(host: str) -> str | None:
    """The canonical name of `host` in DNS; None when it cannot be looked up."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        # The driver reports this itself when it connects.
        return None
    return found[0][3] or None
