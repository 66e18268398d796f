"""Certificates and certificate requests exactly as pulumi-tls emits them.

Which extensions, in which order, and which of them critical, follows Go's `crypto/x509`, which the real
provider uses: key usage and basic constraints are critical, extended key usage is not, a path length of 0 is
never emitted.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from emulator.core.resource_type import Refused
from emulator.tls.keys import PrivateKey, PublicKey

KEY_USAGES: Final[dict[str, str]] = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
    "encipher_only": "encipher_only",
    "decipher_only": "decipher_only",
}
EXTENDED_KEY_USAGES: Final[dict[str, ObjectIdentifier]] = {
    "any_extended": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec_end_system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec_tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec_user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp_signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft_server_gated_crypto": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape_server_gated_crypto": ObjectIdentifier("2.16.840.1.113730.4.1"),
    "microsoft_commercial_code_signing": ObjectIdentifier("1.3.6.1.4.1.311.2.1.22"),
    "microsoft_kernel_code_signing": ObjectIdentifier("1.3.6.1.4.1.311.61.1.1"),
}
ALLOWED_USES: Final = tuple(sorted({*KEY_USAGES, *EXTENDED_KEY_USAGES}))

# The order in which Go writes the parts of a name (`crypto/x509/pkix`).
_NAME_PARTS: Final[tuple[tuple[str, ObjectIdentifier], ...]] = (
    ("country", NameOID.COUNTRY_NAME),
    ("organization", NameOID.ORGANIZATION_NAME),
    ("organizationalUnit", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ("locality", NameOID.LOCALITY_NAME),
    ("province", NameOID.STATE_OR_PROVINCE_NAME),
    ("streetAddresses", NameOID.STREET_ADDRESS),
    ("postalCode", NameOID.POSTAL_CODE),
    ("commonName", NameOID.COMMON_NAME),
    ("serialNumber", NameOID.SERIAL_NUMBER),
    ("emailAddress", NameOID.EMAIL_ADDRESS),
)


@dataclass(frozen=True, kw_only=True)
class CertificateRequest:
    """The content of a certificate to be signed.

    Attributes:
        subject: Subject, possibly empty.
        alternative_names: Subject alternative names in order.
        public_key: Key that it certifies.
        uses: `allowed_uses` of pulumi-tls.
        authority: Whether it may sign others.
        path_length: Greatest number of intermediates below it; only values above 0 are emitted.
        with_subject_key_id: Emits the subject key id on a leaf as well.
        not_before: Begin of validity.
        not_after: End of validity.
    """

    subject: x509.Name
    alternative_names: Sequence[x509.GeneralName]
    public_key: PublicKey
    uses: Sequence[str]
    authority: bool
    path_length: int
    with_subject_key_id: bool
    not_before: datetime
    not_after: datetime


def subject_name(subject: Mapping[str, Any]) -> x509.Name:
    """A name from the subject argument of pulumi-tls.

    Raises:
        Refused: A part does not fit X.509, such as a common name over 64 characters.
    """
    attributes: list[x509.NameAttribute] = []
    for part, oid in _NAME_PARTS:
        value = subject.get(part)
        try:
            values = value if isinstance(value, list) else [value]
            attributes.extend(x509.NameAttribute(oid, item) for item in values if item)
        except ValueError as error:
            raise Refused(f"Invalid Certificate Subject: {part} {value!r}: {error}") from error
    return x509.Name(attributes)


def alternative_names(
    dns_names: Sequence[str], ip_addresses: Sequence[str], uris: Sequence[str]
) -> list[x509.GeneralName]:
    """Subject alternative names, DNS names first.

    Raises:
        Refused: An IP address is malformed, or a name is not ASCII.
    """
    names: list[x509.GeneralName] = []
    try:
        names.extend(x509.DNSName(name) for name in dns_names)
        names.extend(x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses)
        names.extend(x509.UniformResourceIdentifier(uri) for uri in uris)
    except ValueError as error:
        raise Refused(f"Failed to parse subject alternative names: {error}") from error
    return names


def create_request(subject: x509.Name, names: Sequence[x509.GeneralName], key: PrivateKey) -> str:
    """A PKCS#10 request in PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, _digest_for(key)).public_bytes(Encoding.PEM).decode()


def parse_request(pem: str) -> tuple[x509.Name, list[x509.GeneralName], PublicKey]:
    """Subject, alternative names and key of a request.

    Raises:
        Refused: It is malformed, or its key is of an unknown algorithm.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
    except ValueError as error:
        raise Refused(f"Failed to parse certificate request PEM: {error}") from error
    try:
        names = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    public_key = request.public_key()
    if not isinstance(public_key, PublicKey):
        raise Refused(f"Failed to parse certificate request PEM: key of type {type(public_key).__name__}")
    return request.subject, names, public_key


def parse_authority(pem: str) -> x509.Certificate:
    """The one certificate in a PEM text.

    Raises:
        Refused: It is malformed.
    """
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise Refused(f"Failed to parse CA certificate PEM: {error}") from error


def self_signed(
    request: CertificateRequest, key: PrivateKey, *, with_authority_key_id: bool
) -> x509.Certificate:
    """A certificate signed with its own key.

    Raises:
        Refused: As `issued`; or an authority key id without a subject key id.
    """
    own_id = None
    if request.authority or request.with_subject_key_id:
        own_id = x509.SubjectKeyIdentifier.from_public_key(request.public_key).digest
    if with_authority_key_id and own_id is None:
        raise Refused("Invalid Certificate Authority: Could not determine Authority Key Identifier")
    return _sign(request, request.subject, own_id if with_authority_key_id else None, key)


def issued(request: CertificateRequest, authority: x509.Certificate, key: PrivateKey) -> x509.Certificate:
    """A certificate signed by an authority.

    Raises:
        Refused: The key is not the authority's; an authority has no subject; a leaf has a path length.
    """
    if _public_bytes(key.public_key()) != authority.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    ):
        raise Refused(
            "Failed to create certificate: x509: provided PrivateKey doesn't match parent's PublicKey"
        )
    authority_id = None
    if authority.subject != request.subject:
        try:
            authority_id = authority.extensions.get_extension_for_class(
                x509.SubjectKeyIdentifier
            ).value.digest
        except x509.ExtensionNotFound:
            authority_id = None
    return _sign(request, authority.subject, authority_id, key)


def _sign(
    request: CertificateRequest, issuer: x509.Name, authority_id: bytes | None, key: PrivateKey
) -> x509.Certificate:
    if request.authority and not request.subject.rdns:
        raise Refused(
            "Invalid Certificate Subject: Must contain at least one Distinguished Name when creating "
            "Certificate Authority (CA)"
        )
    if request.path_length > 0 and not request.authority:
        raise Refused("Failed to create certificate: x509: only CAs are allowed to specify MaxPathLen")
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(issuer)
        .public_key(request.public_key)
        .serial_number(secrets.randbits(128) or 1)
        .not_valid_before(request.not_before)
        .not_valid_after(request.not_after)
    )
    usages = {KEY_USAGES[use] for use in request.uses if use in KEY_USAGES}
    if usages:
        builder = builder.add_extension(_key_usage(usages), critical=True)
    extended = [EXTENDED_KEY_USAGES[use] for use in request.uses if use in EXTENDED_KEY_USAGES]
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    path_length = request.path_length if request.path_length > 0 else None
    builder = builder.add_extension(
        x509.BasicConstraints(ca=request.authority, path_length=path_length), critical=True
    )
    if request.authority or request.with_subject_key_id:
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(request.public_key), critical=False
        )
    if authority_id is not None:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(authority_id, None, None), critical=False)
    if request.alternative_names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(request.alternative_names), critical=not request.subject.rdns
        )
    return builder.sign(key, _digest_for(key))


def _key_usage(usages: set[str]) -> x509.KeyUsage:
    # cryptography does not encode these two bits without key agreement, which X.509 requires with them.
    usable = usages if "key_agreement" in usages else usages - {"encipher_only", "decipher_only"}
    return x509.KeyUsage(**{usage: usage in usable for usage in KEY_USAGES.values()})


def _digest_for(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    match key:
        case ed25519.Ed25519PrivateKey():
            return None
        case ec.EllipticCurvePrivateKey() if key.curve.key_size > 384:
            return hashes.SHA512()
        case ec.EllipticCurvePrivateKey() if key.curve.key_size > 256:
            return hashes.SHA384()
        case ec.EllipticCurvePrivateKey() | rsa.RSAPrivateKey() | _:
            return hashes.SHA256()


def _public_bytes(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
