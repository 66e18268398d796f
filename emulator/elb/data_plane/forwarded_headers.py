"""The headers in which a load balancer forwards a client's certificate, byte for byte.

Source: Elastic Load Balancing, "Mutual authentication with TLS in Application Load Balancer", and its
samples of headers. Names of RDNs are RFC 2253, the most specific one first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from cryptography import x509

from emulator.core.certificate_building import pem

CHAIN = "X-Amzn-Mtls-Clientcert"
LEAF = "X-Amzn-Mtls-Clientcert-Leaf"
SERIAL_NUMBER = "X-Amzn-Mtls-Clientcert-Serial-Number"
ISSUER = "X-Amzn-Mtls-Clientcert-Issuer"
SUBJECT = "X-Amzn-Mtls-Clientcert-Subject"
VALIDITY = "X-Amzn-Mtls-Clientcert-Validity"
TLS_VERSION = "X-Amzn-TLS-Version"
TLS_CIPHER_SUITE = "X-Amzn-TLS-Cipher-Suite"
RENAMEABLE = (CHAIN, LEAF, SERIAL_NUMBER, ISSUER, SUBJECT, VALIDITY, TLS_VERSION, TLS_CIPHER_SUITE)

_SAFE = "+=/"
_NOT_PRINTABLE_ASCII = re.compile(r"[^\x20-\x7e]")


def encoded(text: str) -> str:
    """URL encoding that leaves base64 as it is."""
    return quote(text, safe=_SAFE)


def serial_number(certificate: x509.Certificate) -> str:
    """Hexadecimal digits of whole bytes, upper case: a leading zero is kept."""
    digits = f"{certificate.serial_number:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


def distinguished_name(name: x509.Name) -> str:
    """RFC 2253, the most specific RDN first.

    Bytes of UTF-8 that are no printable ASCII are pairs of hexadecimal digits, as OpenSSL writes them.
    """
    return _NOT_PRINTABLE_ASCII.sub(_pairs, name.rfc4514_string())


def validity(certificate: x509.Certificate) -> str:
    """Both dates, RFC 3339 in UTC."""
    return (
        f"NotBefore={_date(certificate.not_valid_before_utc)};"
        f"NotAfter={_date(certificate.not_valid_after_utc)}"
    )


def verify_headers(leaf: x509.Certificate) -> dict[str, str]:
    """The five headers of verify mode, by their original names."""
    return {
        SERIAL_NUMBER: serial_number(leaf),
        ISSUER: distinguished_name(leaf.issuer),
        SUBJECT: distinguished_name(leaf.subject),
        VALIDITY: validity(leaf),
        LEAF: encoded(pem(leaf).decode()),
    }


def passthrough_headers(chain: Sequence[x509.Certificate]) -> dict[str, str]:
    """The header of passthrough mode, by its original name; none when nothing was presented.

    Args:
        chain: As the client presented it, its own certificate first.
    """
    return {CHAIN: encoded(pem(*chain).decode())} if chain else {}


def _pairs(found: re.Match[str]) -> str:
    return "".join(f"\\{byte:02X}" for byte in found[0].encode())


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
