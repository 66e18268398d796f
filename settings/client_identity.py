"""What identifies a gateway's client: names in certificates, and serial numbers."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from settings import dns

MAX_COMMON_NAME = 64
"""Characters of a certificate's common name (ub-common-name, RFC 5280, appendix A.1)."""

_CLIENT = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?")
_SERIAL = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*|[0-9A-Fa-f]+")
_MAX_SERIAL = 1 << 159  # 20 bytes, the first bit of them clear; RFC 5280, 4.1.2.2
_URI = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]{1,1024}")


def client_name_problems(name: str) -> list[str]:
    """What is wrong with the name of a client, which is part of names in AWS."""
    return [] if _CLIENT.fullmatch(name) else ["is not a name for a client, such as billing"]


def uri_problems(uri: str) -> list[str]:
    """What is wrong with a URI that a certificate shall carry."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ["is not a URI such as spiffe://example.org/billing"]
    if not _URI.fullmatch(uri) or not parts.scheme or not parts.netloc or "@" in parts.netloc:
        return ["is not a URI such as spiffe://example.org/billing"]
    return []


def dns_name_problems(name: str) -> list[str]:
    """What is wrong with a DNS name that a certificate shall carry; wildcards are no identity."""
    if "*" in name:
        return ["holds a wildcard, which is many clients; name one"]
    return dns.zone_problems(name)


def common_name_problems(name: str) -> list[str]:
    """What is wrong with a common name."""
    if not name or len(name) > MAX_COMMON_NAME:
        return [f"has {len(name)} characters; a common name has 1 to {MAX_COMMON_NAME}"]
    if name != name.strip() or not name.isprintable():
        return ["begins or ends with a space, or holds what cannot be printed; write the name alone"]
    return []


def serial_number_problems(serial: str) -> list[str]:
    """What is wrong with the serial number of a certificate, in hexadecimal with or without colons."""
    if not _SERIAL.fullmatch(serial):
        return ["is not hexadecimal, as openssl x509 -noout -serial prints it"]
    number = int(serial.replace(":", ""), 16)
    return [] if 0 < number < _MAX_SERIAL else ["is not a serial number: positive, 20 bytes at most"]
