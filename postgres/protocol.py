"""What PostgreSQL's wire protocol fixes: the request for TLS, and the meaning of error codes."""

from __future__ import annotations

import struct

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""Asks a server for TLS; it answers with one byte, `S` for yes (manual, Message Formats, SSLRequest)."""

# Connection exceptions, transaction rollbacks, insufficient resources, operator intervention, system
# errors, and a lock that was not available.
_TRANSIENT = ("08", "40", "53", "57", "58", "55P03")


def is_transient(sqlstate: str) -> bool:
    """Whether the same statement may succeed later."""
    return sqlstate.startswith(_TRANSIENT)
