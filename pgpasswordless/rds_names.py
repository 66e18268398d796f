"""Host names of RDS and Aurora: the region in them, and which names no token can be signed for.

An endpoint is `<id>.<group>.<region>.rds.amazonaws.com`: `<group>` is a hash for an instance, with
`cluster-`, `cluster-ro-`, `cluster-custom-`, `shardgrp-` or `proxy-` before it for the others; a further
endpoint of a proxy is `<id>.endpoint.proxy-<hash>.…`. Dual-stack networks have no other names. In China it
is `….rds.<region>.amazonaws.com.cn` (in older accounts `….<region>.rds.amazonaws.com.cn`); other partitions
have suffixes of their own. A global database's writer is `<id>.global-<hash>.global.rds.amazonaws.com`,
without a region. A token is signed for exactly such a name.
"""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address

# The DNS suffixes of AWS's partitions, as botocore's partitions.json has them.
_SUFFIX = r"(?:amazonaws\.(?:com|com\.cn|eu)|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_REGION = r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+"
_ENDPOINT = re.compile(
    rf"{_LABEL}\.(?:endpoint\.(?=proxy-))?{_LABEL}\."
    rf"(?:(?P<before>{_REGION})\.rds|rds\.(?P<after>{_REGION}))\.{_SUFFIX}"
)
# Below RDS's own suffix, whatever is before it.
_IN_RDS = re.compile(rf"(?:{_LABEL}\.)+(?:{_LABEL}\.rds|rds\.{_LABEL})\.{_SUFFIX}")
_DSQL = re.compile(rf"{_LABEL}\.dsql(?:-[a-z0-9]+)?\.(?P<region>{_REGION})\.on\.aws")


def normalised(host: str) -> str:
    """An endpoint of RDS in lower case and without a final dot, as RDS writes it; other names unchanged."""
    plain = _plain(host)
    return plain if _IN_RDS.fullmatch(plain) else host


def region_in(host: str) -> str | None:
    """The region in an RDS endpoint; None for any other host."""
    found = _ENDPOINT.fullmatch(_plain(host))
    return (found["before"] or found["after"]) if found else None


def in_rds(host: str) -> bool:
    """Whether `host` is a name below RDS's own, with a region in it or without, as a global writer's is."""
    return _IN_RDS.fullmatch(_plain(host)) is not None


def dsql_region(host: str) -> str | None:
    """The region of an endpoint of Aurora DSQL, whose tokens are another service's; None for other hosts."""
    found = _DSQL.fullmatch(_plain(host))
    return found["region"] if found else None


def is_near(host: str) -> bool:
    """Whether `host` is an address or this machine: no endpoint has such a name, and a tunnel's end has."""
    name = _plain(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


def may_be_alias(host: str) -> bool:
    """Whether `host` could be an alias of an endpoint: not an endpoint, an address or localhost itself."""
    return bool(_plain(host)) and not in_rds(host) and not is_near(host)


def canonical_name(host: str) -> str | None:
    """The canonical name of `host` in DNS; None when it cannot be looked up."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        # The driver reports this itself when it connects.
        return None
    return found[0][3] or None


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")
