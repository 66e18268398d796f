"""Reads the client's certificate from the forwarded headers, strictly, and checks it against all of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.certificate_policy import UNREADABLE
from gateway.distinguished_name import parsed, parts_of
from gateway.forwarded_headers import ForwardedHeaders
from gateway.refusals import RefusalCode, Refused

SAFE_CHARACTERS = "+=/"
"""What a load balancer leaves unescaped besides letters, digits and `-._~` (ALB guide, mutual TLS)."""

_ESCAPE = re.compile(rb"%(?![0-9A-F]{2})")
# RFC 5280 allows 20 bytes, and a leading zero byte may be kept.
_SERIAL = re.compile(r"[0-9A-Fa-f]{1,42}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){0,20}")
_MOMENT = r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})Z"
_VALIDITY = re.compile(rf"NotBefore={_MOMENT};NotAfter={_MOMENT}", re.ASCII)


def forwarded_certificate(headers: ForwardedHeaders) -> x509.Certificate:
    """The certificate that all five headers agree on. Whether it is trusted is not checked here.

    Raises:
        Refused: a header is not as a load balancer writes it, or they contradict each other.
    """
    certificate = _leaf(headers.leaf)
    _check_serial(_text(headers.serial_number, "serial number"), certificate)
    _check_name(
        _text(headers.subject, "subject"), certificate.subject, "subject", RefusalCode.SUBJECT_MISMATCH
    )
    _check_name(_text(headers.issuer, "issuer"), certificate.issuer, "issuer", RefusalCode.ISSUER_MISMATCH)
    _check_validity(_text(headers.validity, "validity"), certificate)
    return certificate


def _text(value: bytes, field: str) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise Refused(RefusalCode.NOT_ASCII, f"the header of the {field} is not ASCII") from None


def _leaf(value: bytes) -> x509.Certificate:
    encoded = _text(value, "leaf")
    if _ESCAPE.search(value):
        raise Refused(RefusalCode.NOT_CANONICAL, "the leaf has a % that begins no upper case escape")
    # Not `unquote_plus`: a plus sign is one of base64's digits here.
    decoded = unquote_to_bytes(value)
    try:
        certificate = x509.load_pem_x509_certificate(decoded)
        # These are parsed lazily; a malformed one must fail here.
        _ = certificate.subject, certificate.issuer, certificate.extensions
    except UNREADABLE:
        raise Refused(RefusalCode.MALFORMED_CERTIFICATE, "the leaf is not a readable certificate") from None
    # Exactly one PEM block in its canonical form; the final newline is optional.
    canonical = quote(certificate.public_bytes(Encoding.PEM), safe=SAFE_CHARACTERS)
    if encoded.replace("%3D", "=") not in {canonical, canonical.removesuffix("%0A")}:
        raise Refused(
            RefusalCode.NOT_CANONICAL, "the leaf is not one certificate, encoded as a load balancer does"
        )
    return certificate


def _check_serial(value: str, certificate: x509.Certificate) -> None:
    if not _SERIAL.fullmatch(value):
        raise Refused(RefusalCode.MALFORMED_HEADER, "the serial number is not hexadecimal")
    if int(value.replace(":", ""), 16) != certificate.serial_number:
        raise Refused(RefusalCode.SERIAL_MISMATCH, "the serial number is not the certificate's")


def _check_name(value: str, expected: x509.Name, field: str, mismatch: RefusalCode) -> None:
    try:
        parts = parsed(value)
    except ValueError:
        raise Refused(
            RefusalCode.MALFORMED_HEADER, f"the {field} is not a name as RFC 4514 writes it"
        ) from None
    if parts != parts_of(expected):
        raise Refused(mismatch, f"the {field} is not the certificate's")


def _check_validity(value: str, certificate: x509.Certificate) -> None:
    match = _VALIDITY.fullmatch(value)
    try:
        moments = (
            [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in match.groups()] if match else []
        )
    except ValueError:
        moments = []
    if not moments:
        raise Refused(
            RefusalCode.MALFORMED_HEADER,
            "the validity is not NotBefore=…;NotAfter=… with RFC 3339 times in UTC",
        )
    if moments != [certificate.not_valid_before_utc, certificate.not_valid_after_utc]:
        raise Refused(RefusalCode.VALIDITY_MISMATCH, "the validity is not the certificate's")
