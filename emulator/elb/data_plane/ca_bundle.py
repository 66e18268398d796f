"""The content of a trust store as an Application Load Balancer reads it: a strict CA bundle, and CRLs.

Source: Elastic Load Balancing, "Mutual authentication with TLS in Application Load Balancer" and "Quotas".
AWS reads them when they are uploaded, so what is refused here is refused before any connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from emulator.elb.model import ConfigurationRefused

MOST_AUTHORITIES = 25
LONGEST_AUTHORITY_BYTES = 16 * 1024
MOST_REVOCATION_LISTS = 30
MOST_REVOKED = 500_000
LONGEST_REVOCATION_LIST_BYTES = 50 * 1024 * 1024

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_BEGIN_CRL, _END_CRL = "-----BEGIN X509 CRL-----", "-----END X509 CRL-----"
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, kw_only=True)
class CaBundle:
    """The authorities of clients' certificates, and what they have revoked.

    Attributes:
        authorities: In the order of the bundle.
        revocation_lists: In the order they were given.
    """

    authorities: tuple[x509.Certificate, ...]
    revocation_lists: tuple[x509.CertificateRevocationList, ...]


def read_ca_bundle(bundle: str, revocation_lists: tuple[str, ...] = ()) -> CaBundle:
    """Reads a bundle and its CRLs.

    Args:
        bundle: PEM blocks of certificates; lines between them begin with `#` and hold no `-`.
        revocation_lists: PEM, one or more blocks each.

    Raises:
        ConfigurationRefused: AWS would not take them.
    """
    authorities = tuple(_authorities(bundle))
    if len(revocation_lists) > MOST_REVOCATION_LISTS:
        raise ConfigurationRefused(
            f"revocation_lists: {len(revocation_lists)} CRLs; at most {MOST_REVOCATION_LISTS} are allowed"
        )
    lists = [
        crl for position, text in enumerate(revocation_lists, 1) for crl in _lists(text, f"CRL {position}")
    ]
    for crl in lists:
        _check_signature(crl, authorities)
    revoked = sum(len(crl) for crl in lists)
    if revoked > MOST_REVOKED:
        raise ConfigurationRefused(
            f"revocation_lists: {revoked} entries; at most {MOST_REVOKED} are allowed in a trust store"
        )
    return CaBundle(authorities=authorities, revocation_lists=tuple(lists))


def _authorities(bundle: str) -> list[x509.Certificate]:
    if not bundle.strip():
        raise ConfigurationRefused("CA bundle: is empty; at least one certificate is needed")
    authorities: list[x509.Certificate] = []
    block: list[str] | None = None
    for number, line in enumerate(bundle.removesuffix("\n").split("\n"), 1):
        where = f"CA bundle, line {number}"
        if block is None:
            if line == _BEGIN:
                block = [line]
            elif not line.strip():
                raise ConfigurationRefused(f"{where}: blank; a bundle may have no blank lines")
            elif not line.startswith("#") or "-" in line:
                raise ConfigurationRefused(
                    f"{where}: {line[:40]!r}; between certificates only comments are allowed, which begin "
                    "with # and hold no hyphen (print certificates without `-text`)"
                )
        elif line == _END:
            authorities.append(_certificate("\n".join([*block, line]), where))
            block = None
        elif _BASE64.fullmatch(line):
            block.append(line)
        else:
            raise ConfigurationRefused(f"{where}: {line[:40]!r} within a certificate; it is not base64")
    if block is not None:
        raise ConfigurationRefused("CA bundle: the last certificate has no end")
    if not authorities:
        raise ConfigurationRefused("CA bundle: holds no certificate; at least one is needed")
    if len(authorities) > MOST_AUTHORITIES:
        raise ConfigurationRefused(
            f"CA bundle: {len(authorities)} certificates; at most {MOST_AUTHORITIES} are allowed"
        )
    return authorities


def _certificate(pem: str, where: str) -> x509.Certificate:
    if len(pem) > LONGEST_AUTHORITY_BYTES:
        raise ConfigurationRefused(
            f"{where}: the certificate that ends here has {len(pem)} bytes; "
            f"at most {LONGEST_AUTHORITY_BYTES} are allowed"
        )
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise ConfigurationRefused(f"{where}: what ends here is not a certificate: {error}") from None


def _lists(text: str, where: str) -> list[x509.CertificateRevocationList]:
    size = len(text.encode())
    if size > LONGEST_REVOCATION_LIST_BYTES:
        raise ConfigurationRefused(
            f"{where}: {size} bytes; at most {LONGEST_REVOCATION_LIST_BYTES} are allowed"
        )
    lists = []
    for block in filter(None, map(str.strip, re.split(f"(?<={_END_CRL})", text))):
        if not (block.startswith(_BEGIN_CRL) and block.endswith(_END_CRL)):
            raise ConfigurationRefused(
                f"{where}: {block[:40]!r}; only PEM blocks of type X509 CRL are allowed "
                "(convert with `openssl crl -inform DER`)"
            )
        try:
            lists.append(x509.load_pem_x509_crl(block.encode()))
        except ValueError as error:
            raise ConfigurationRefused(f"{where}: cannot be read: {error}") from None
    if not lists:
        raise ConfigurationRefused(f"{where}: is empty")
    return lists


def _check_signature(crl: x509.CertificateRevocationList, authorities: tuple[x509.Certificate, ...]) -> None:
    # A list by an intermediate authority that is not in the bundle can be checked only when a client
    # presents that authority; OpenSSL does it then.
    issuers = [authority for authority in authorities if authority.subject == crl.issuer]
    if issuers and not any(_signed(crl, issuer) for issuer in issuers):
        raise ConfigurationRefused(
            f"revocation_lists: the CRL of {crl.issuer.rfc4514_string()!r} is not signed by the authority "
            "of that name in the trust store"
        )


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(issuer.public_key())  # pyright: ignore[reportArgumentType]
    except (InvalidSignature, TypeError, ValueError):
        return False
