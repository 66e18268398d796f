"""The TLS settings of a parameter group, as a context of Python's ssl.

The suites of TLS 1.3 (`ssl_tls13_ciphers`) and the order of groups (`ssl_groups`) cannot be set before
Python 3.15; before that OpenSSL's defaults apply, which are as strong, and `unsupported` names the
parameters.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

ALPN = "postgresql"
DIRECT_TLS_SINCE = 17
# RDS's defaults where the group says nothing.
_MINIMUM, _MAXIMUM = "TLSv1.2", "TLSv1.3"
_DEFAULT_CIPHERS = "HIGH:!aNULL:!3DES"
_VERSIONS: Mapping[str, ssl.TLSVersion] = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_CIPHERS: Mapping[str, str] = {
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
_SETTERS: Mapping[str, str] = {"ssl_groups": "set_groups", "ssl_tls13_ciphers": "set_ciphersuites"}


def tls_context(settings: Mapping[str, str], chain: Path, key: Path) -> ssl.SSLContext:
    """A context for an instance's endpoint.

    Args:
        settings: Parameters in effect, in RDS's spelling.
        chain: The server's certificate and its intermediates.

    Raises:
        ssl.SSLError: The machine's OpenSSL does not support what the parameters ask for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # PostgreSQL resumes no sessions either.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.minimum_version = _VERSIONS[settings.get("ssl_min_protocol_version", _MINIMUM)]
    context.maximum_version = _VERSIONS[settings.get("ssl_max_protocol_version", _MAXIMUM)]
    given = settings.get("ssl_ciphers")
    context.set_ciphers(":".join(_CIPHERS[name] for name in given.split(",")) if given else _DEFAULT_CIPHERS)
    context.set_alpn_protocols([ALPN])
    for name, setter in _SETTERS.items():
        if name in settings and hasattr(context, setter):
            getattr(context, setter)(settings[name])
    return context


def unsupported(settings: Mapping[str, str]) -> list[str]:
    """Parameters that this Python cannot apply."""
    return [
        name for name, setter in _SETTERS.items() if name in settings and not hasattr(ssl.SSLContext, setter)
    ]
