"""What rules demand at least. Stated here, so that one wrong constant of the program cannot blind both."""

from __future__ import annotations

ACCEPTED_PROTOCOLS = ("TLSv1.2", "TLSv1.3")
"""What a server may have as its minimum, by PostgreSQL's names, the oldest first (RFC 8996)."""

SUPERUSER = "postgres"
"""The superuser that initdb creates (PostgreSQL's documentation, initdb)."""

NEWEST_PROTOCOL = ACCEPTED_PROTOCOLS[-1]

RDS_CIPHERS = (
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
)
"""What RDS's `ssl_ciphers` may contain: forward secrecy and authenticated encryption (RFC 9325, 4.2)."""

SHORTEST_PRIVATE_PREFIX = {4: 16, 6: 48}
"""Prefix length of the largest private network that may reach PostgreSQL, by IP version."""

LARGEST_PUBLIC_SHARE = 0.25
"""Part of the public addresses that one security group must not admit to a port: 0.0.0.0/0, a half such as
128.0.0.0/1, or a list of prefixes that leaves out little. A provider's or a company's networks are below 1 %.
"""


def _place(protocol: str) -> int:
    names = [each.lower() for each in ACCEPTED_PROTOCOLS]
    return names.index(protocol.lower()) if protocol.lower() in names else -1


def is_accepted(protocol: str) -> bool:
    """Whether a version may be a server's minimum, whatever its case."""
    return _place(protocol) >= 0


def is_older(protocol: str, other: str) -> bool:
    """Whether a version is older than another one. One that is not accepted is older than all that are."""
    return _place(protocol) < _place(other)
