"""Groups of the TLS key exchange: which a server may offer, in which order, and what they need.

PostgreSQL takes a list of them from 18 on (`ssl_groups`); older majors take one elliptic curve. A hybrid
group adds ML-KEM (FIPS 203) to a curve, so that what is recorded today stays secret from a quantum computer.
It needs TLS 1.3, and OpenSSL 3.5, which Debian 13 has; the server does not start with a group that its
OpenSSL lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

HybridGroup = Literal["X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"]
ClassicalGroup = Literal["X25519", "prime256v1", "secp384r1"]
TlsGroup = Literal[HybridGroup, ClassicalGroup]

HYBRID_GROUPS: tuple[HybridGroup, ...] = get_args(HybridGroup)
CLASSICAL_GROUPS: tuple[ClassicalGroup, ...] = get_args(ClassicalGroup)
GROUPS: tuple[TlsGroup, ...] = (*HYBRID_GROUPS, *CLASSICAL_GROUPS)
DEFAULT_GROUPS: tuple[TlsGroup, ...] = ("X25519MLKEM768", "X25519", "prime256v1")
"""A hybrid first: clients with OpenSSL 3.5 take it, older ones one of the others."""
GROUPS_SINCE = 18
"""First major with a list of groups."""
OPENSSL_WITH_HYBRIDS = (3, 5)


def groups_problems(major: int, minimum_protocol: str, groups: Sequence[str]) -> list[str]:
    """Why a server of `major` may not offer `groups`, in their order; empty when it may."""
    if major < GROUPS_SINCE:
        return [f"is for PostgreSQL {GROUPS_SINCE} and newer; PostgreSQL {major} takes one curve, prime256v1"]
    allowed = ", ".join(GROUPS)
    if not groups or len(set(groups)) < len(groups) or not set(groups) <= set(GROUPS):
        return [f"is {':'.join(groups)!r}; allowed: each at most once of {allowed}"]
    hybrid = [group in HYBRID_GROUPS for group in groups]
    if hybrid != sorted(hybrid, reverse=True):
        return [
            f"prefers a curve to a hybrid group in {':'.join(groups)!r}; put {', '.join(HYBRID_GROUPS)} first"
        ]
    if all(hybrid) and minimum_protocol != "TLSv1.3":
        return ["has hybrid groups alone, which TLS 1.2 lacks; add X25519, or set minimumProtocol to TLSv1.3"]
    return []


def lacking_in_openssl(groups: Sequence[str], version: tuple[int, ...]) -> list[str]:
    """Those of `groups` that an OpenSSL of `version` does not have."""
    return [group for group in groups if group in HYBRID_GROUPS and version < OPENSSL_WITH_HYBRIDS]


def default_groups(version: tuple[int, ...]) -> tuple[str, ...]:
    """The default groups that an OpenSSL of `version` has."""
    return tuple(group for group in DEFAULT_GROUPS if not lacking_in_openssl([group], version))
