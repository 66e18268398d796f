"""Security policies of Application Load Balancers: which protocols and cipher suites each allows.

Source: Elastic Load Balancing, "Security policies for your Application Load Balancer", as of 2025-11. The
families for FIPS and RFC 9151 are not here; asking for one is an error, never a guess. Post-quantum policies
differ from those without in key exchange alone, which OpenSSL 3.5 and later offer by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from emulator.elb.model import ConfigurationRefused

Protocol: TypeAlias = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_GCM_128 = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256")
_GCM_256 = ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384")
_CBC_128 = ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256")
_CBC_256 = ("ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384")
_SHA1_128 = ("ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA")
_SHA1_256 = ("ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA")
_STATIC_128, _STATIC_256 = ("AES128-GCM-SHA256", "AES128-SHA256"), ("AES256-GCM-SHA384", "AES256-SHA256")

_AEAD = _GCM_128 + _GCM_256
_FORWARD_SECRET = _GCM_128 + _CBC_128 + _GCM_256 + _CBC_256
_WITHOUT_SHA1 = _FORWARD_SECRET + _STATIC_128 + _STATIC_256
_ALL = (
    *(_GCM_128 + _CBC_128 + _SHA1_128 + _GCM_256 + _CBC_256 + _SHA1_256),
    *(*_STATIC_128, "AES128-SHA", *_STATIC_256, "AES256-SHA"),
)


@dataclass(frozen=True, kw_only=True)
class SslPolicy:
    """One policy.

    Attributes:
        minimum: The oldest protocol.
        maximum: The newest one.
        ciphers: Up to TLS 1.2, in OpenSSL's names and in the order of preference.
        tls13_ciphers: The suites of TLS 1.3.
    """

    minimum: Protocol
    maximum: Protocol
    ciphers: tuple[str, ...]
    tls13_ciphers: tuple[str, ...]


def _newer(minimum: Protocol, ciphers: tuple[str, ...] = ()) -> SslPolicy:
    return SslPolicy(minimum=minimum, maximum="TLSv1.3", ciphers=ciphers, tls13_ciphers=_TLS13)


def _older(minimum: Protocol, ciphers: tuple[str, ...]) -> SslPolicy:
    return SslPolicy(minimum=minimum, maximum="TLSv1.2", ciphers=ciphers, tls13_ciphers=())


SSL_POLICIES: Mapping[str, SslPolicy] = {
    f"ELBSecurityPolicy-{name}": policy
    for name, policy in {
        "TLS13-1-3-2021-06": _newer("TLSv1.3"),
        "TLS13-1-3-PQ-2025-09": _newer("TLSv1.3"),
        "TLS13-1-2-Res-2021-06": _newer("TLSv1.2", _AEAD),
        "TLS13-1-2-Res-PQ-2025-09": _newer("TLSv1.2", _AEAD),
        "TLS13-1-2-2021-06": _newer("TLSv1.2", _FORWARD_SECRET),
        "TLS13-1-2-PQ-2025-09": _newer("TLSv1.2", _FORWARD_SECRET),
        "TLS13-1-2-Ext1-2021-06": _newer("TLSv1.2", _WITHOUT_SHA1),
        "TLS13-1-2-Ext1-PQ-2025-09": _newer("TLSv1.2", _WITHOUT_SHA1),
        "TLS13-1-2-Ext2-2021-06": _newer("TLSv1.2", _ALL),
        "TLS13-1-2-Ext2-PQ-2025-09": _newer("TLSv1.2", _ALL),
        "TLS13-1-1-2021-06": _newer("TLSv1.1", _ALL),
        "TLS13-1-0-2021-06": _newer("TLSv1", _ALL),
        "TLS13-1-0-PQ-2025-09": _newer("TLSv1", _ALL),
        "TLS-1-2-2017-01": _older("TLSv1.2", _WITHOUT_SHA1),
        "TLS-1-2-Ext-2018-06": _older("TLSv1.2", _ALL),
        "TLS-1-1-2017-01": _older("TLSv1.1", _ALL),
        "2016-08": _older("TLSv1", _ALL),
        "FS-1-2-Res-2020-10": _older("TLSv1.2", _AEAD),
    }.items()
}


def ssl_policy(name: str) -> SslPolicy:
    """The policy of a name.

    Raises:
        ConfigurationRefused: None is known by it.
    """
    policy = SSL_POLICIES.get(name)
    if policy is None:
        raise ConfigurationRefused(
            f"ssl_policy: {name!r} is not a security policy that is known here. Known are "
            + ", ".join(sorted(SSL_POLICIES))
        )
    return policy
