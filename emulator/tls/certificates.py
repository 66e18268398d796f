"""Certificates and certificate requests exactly as pulumi-tls emits them.

Which extensions, in which order, and which of them critical, follows Go's `crypto/x509`, which the real
provider uses: key usage and basic constraints are critical, extended key usage is not, a path length of 0 is
never emitted.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from emulator.core import certificate_building
from emulator.core.model import ResourceModel
from emulator.core.resource_type import Refused
from emulator.tls.keys import PrivateKey, PublicKey

_OWN_NAMES = {"key_cert_sign": "cert_signing", "crl_sign": "crl_signing"}
KEY_USAGES: Final = {_OWN_NAMES.get(usage, usage): usage for usage in certificate_building.KEY_USAGES}
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


class CertificateInputs(ResourceModel):
    """What pulumi-tls is given for a request or a certificate; what is absent has its default.

    Attributes:
        subject: Parts of the subject.
        dns_names: Subject alternative names, as are the next two.
        ip_addresses: Addresses.
        uris: URIs.
        allowed_uses: Key usages and extended key usages.
        is_ca_certificate: Whether it may sign others.
        max_path_length: Greatest number of intermediates below it; only values above 0 are emitted.
        set_subject_key_id: Emits the subject key id on a leaf as well.
        set_authority_key_id: Emits the authority key id on a self-signed certificate.
        validity_period_hours: Validity, from now.
    """

    subject: Mapping[str, Any] = {}
    dns_names: Sequence[str] = ()
    ip_addresses: Sequence[str] = ()
    uris: Sequence[str] = ()
    allowed_uses: Sequence[str] = ()
    is_ca_certificate: bool = False
    max_path_length: int = -1
    set_subject_key_id: bool = False
    set_authority_key_id: bool = False
    validity_period_hours: int = 0

    def name(self) -> x509.Name:
        """The subject.

        Raises:
            Refused: A part does not fit X.509, such as a common name over 64 characters.
        """
        attributes: list[x509.NameAttribute] = []
        for part, oid in _NAME_PARTS:
            value = self.subject.get(part)
            try:
                values = value if isinstance(value, list) else [value]
                attributes.extend(x509.NameAttribute(oid, item) for item in values if item)
            except ValueError as error:
                raise Refused(f"Invalid Certificate Subject: {part} {value!r}: {error}") from error
        return x509.Name(attributes)

    def alternative_names(self) -> list[x509.GeneralName]:
        """Subject alternative names, DNS names first.

        Raises:
            Refused: An IP address is malformed, or a name is not ASCII.
        """
        try:
            return [
                *(x509.DNSName(name) for name in self.dns_names),
                *(x509.IPAddress(ipaddress.ip_address(address)) for address in self.ip_addresses),
                *(x509.UniformResourceIdentifier(_parsed(uri)) for uri in self.uris),
            ]
        except ValueError as error:
            raise Refused(f"Failed to parse subject alternative names: {error}") from error


def _parsed(uri: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|[^:]*(?:/|$)", uri) is None:
        raise ValueError(f'parse "{uri}": missing protocol scheme')
    return quote(uri, safe="%/:=&?~#+!$,;'@()*[]")


def create_request(inputs: CertificateInputs, key: PrivateKey) -> str:
    """A PKCS#10 request in PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(inputs.name())
    if names := inputs.alternative_names():
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
    names: list[x509.GeneralName] = []
    with contextlib.suppress(x509.ExtensionNotFound):
        names = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
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


def self_signed(inputs: CertificateInputs, key: PrivateKey, now: datetime) -> x509.Certificate:
    """A certificate signed with its own key.

    Raises:
        Refused: As `issued`; or an authority key id without a subject key id.
    """
    own_id = None
    if inputs.set_authority_key_id:
        if not (inputs.is_ca_certificate or inputs.set_subject_key_id):
            raise Refused("Invalid Certificate Authority: Could not determine Authority Key Identifier")
        own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    subject = inputs.name()
    builder = _builder(
        inputs, subject, inputs.alternative_names(), key.public_key(), authority_id=own_id, now=now
    )
    return builder.issuer_name(subject).sign(key, _digest_for(key))


def issued(
    inputs: CertificateInputs, request: str, authority: x509.Certificate, key: PrivateKey, now: datetime
) -> x509.Certificate:
    """A certificate for a request in PEM, signed by an authority.

    Raises:
        Refused: The key is not the authority's; an authority has no subject; a leaf has a path length.
    """
    subject, names, public_key = parse_request(request)
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != authority.public_key().public_bytes(*form):
        raise Refused(
            "Failed to create certificate: x509: provided PrivateKey doesn't match parent's PublicKey"
        )
    authority_id = None
    if authority.subject != subject:
        with contextlib.suppress(x509.ExtensionNotFound):
            found = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            authority_id = found.value.digest
    builder = _builder(inputs, subject, names, public_key, authority_id=authority_id, now=now)
    return builder.issuer_name(authority.subject).sign(key, _digest_for(key))


def _builder(
    inputs: CertificateInputs,
    subject: x509.Name,
    names: Sequence[x509.GeneralName],
    public_key: PublicKey,
    *,
    authority_id: bytes | None,
    now: datetime,
) -> x509.CertificateBuilder:
    if inputs.is_ca_certificate and not subject.rdns:
        raise Refused(
            "Invalid Certificate Subject: Must contain at least one Distinguished Name when creating "
            "Certificate Authority (CA)"
        )
    path_length = inputs.max_path_length if inputs.max_path_length > 0 else None
    if path_length is not None and not inputs.is_ca_certificate:
        raise Refused("Failed to create certificate: x509: only CAs are allowed to specify MaxPathLen")
    begin = now.replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(secrets.randbits(128) or 1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(hours=inputs.validity_period_hours))
    )
    usages = {KEY_USAGES[use] for use in inputs.allowed_uses if use in KEY_USAGES}
    extended = [EXTENDED_KEY_USAGES[use] for use in inputs.allowed_uses if use in EXTENDED_KEY_USAGES]
    has_id = inputs.is_ca_certificate or inputs.set_subject_key_id
    extensions: tuple[tuple[x509.ExtensionType | None, bool], ...] = (
        (_key_usage(usages) if usages else None, True),
        (x509.ExtendedKeyUsage(extended) if extended else None, False),
        (x509.BasicConstraints(ca=inputs.is_ca_certificate, path_length=path_length), True),
        (x509.SubjectKeyIdentifier.from_public_key(public_key) if has_id else None, False),
        (x509.AuthorityKeyIdentifier(authority_id, None, None) if authority_id else None, False),
        (x509.SubjectAlternativeName(names) if names else None, not subject.rdns),
    )
    for extension, critical in extensions:
        if extension is not None:
            builder = builder.add_extension(extension, critical=critical)
    return builder


def _key_usage(usages: set[str]) -> x509.KeyUsage:
    # cryptography does not encode these two bits without key agreement, which X.509 requires with them.
    usable = usages if "key_agreement" in usages else usages - {"encipher_only", "decipher_only"}
    return x509.KeyUsage(**{usage: usage in usable for usage in certificate_building.KEY_USAGES})


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
