"""PostgreSQL on the network: the request for TLS, its versions, and the meaning of error codes."""

from __future__ import annotations

import struct
from typing import Literal, get_args

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""Asks a server for TLS; it answers with one byte, `S` for yes (manual, Message Formats, SSLRequest)."""

MinimumProtocol = Literal["TLSv1.2", "TLSv1.3"]
"""The oldest TLS version that a server of this project may accept."""

MINIMUM_PROTOCOLS: tuple[MinimumProtocol, ...] = get_args(MinimumProtocol)

# Connection exceptions, transaction rollbacks, insufficient resources, operator intervention, system
# errors, and a lock that was not available.
_TRANSIENT = ("08", "40", "53", "57", "58", "55P03")


def is_transient(sqlstate: str) -> bool:
    """Whether the same statement may succeed later."""
    return sqlstate.startswith(_TRANSIENT)
