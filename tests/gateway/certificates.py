"""Client authorities, clients and revocation lists, made by the tests themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
YEAR = timedelta(days=365)


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """One key per size: they are slow to make."""
    return rsa.generate_private_key(65537, bits)


@cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def name(common_name: str, **more: str) -> x509.Name:
    """A subject; `O=` and others by their attribute's name in NameOID."""
    rest = [x509.NameAttribute(getattr(NameOID, oid), value) for oid, value in more.items()]
    return x509.Name([*rest, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True, kw_only=True)
class Authority:
    """An authority whose key the test holds, a root or below another one."""

    certificate: x509.Certificate
    key: Any = field(repr=False)

    @classmethod
    def root(cls, common_name: str = "Clients", *, key: Any = None, now: datetime = NOW) -> Authority:
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = _authority(name(common_name), None, key.public_key(), now, own_key=key)
        return cls(certificate=certificate, key=key)

    def intermediate(
        self,
        common_name: str = "Intermediate",
        *,
        now: datetime = NOW,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _authority(name(common_name), self, key.public_key(), now, extensions=extensions)
        return Authority(certificate=certificate, key=key)

    def client(
        self,
        *,
        uris: Sequence[str] = (),
        dns: Sequence[str] = (),
        subject: x509.Name | None = None,
        key: Any = None,
        usages: Sequence[x509.ObjectIdentifier] | None = (CLIENT,),
        key_usage: x509.KeyUsage | None = None,
        is_authority: bool = False,
        names_its_issuers_key: bool = True,
        begins: datetime = NOW - timedelta(days=1),
        ends: datetime = NOW + timedelta(days=89),
        algorithm: Any = None,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> x509.Certificate:
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(name("client") if subject is None else subject)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names_its_issuers_key:
            builder = builder.add_extension(_signer(self), critical=False)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if key_usage is not None:
            builder = builder.add_extension(key_usage, critical=True)
        names = [x509.UniformResourceIdentifier(uri) for uri in uris] + [x509.DNSName(each) for each in dns]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for each in extensions:
            builder = builder.add_extension(each, critical=True)
        return builder.sign(self.key, _algorithm(self.key, algorithm))

    def revocation_list(
        self,
        *revoked: x509.Certificate,
        begins: datetime = NOW - timedelta(hours=1),
        ends: datetime = NOW + timedelta(days=7),
        issuer: x509.Name | None = None,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> str:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer or self.certificate.subject)
            .last_update(begins)
            .next_update(ends)
            .add_extension(_signer(self), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        for each in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(each.serial_number)
                .revocation_date(begins)
                .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
                .build()
            )
        return builder.sign(self.key, _algorithm(self.key, None)).public_bytes(Encoding.PEM).decode()


def key_usage(*, digital_signature: bool = True, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def version_1(authority: Authority) -> x509.Certificate:
    """An X.509v1 certificate, which `cryptography` reads and does not make."""
    _, fields = _children(authority.client(usages=None).tbs_certificate_bytes)
    # The version is the first field, and the extensions are the last one.
    return _signed(authority, fields[1:-1], fields[2], hashes.SHA256())


def signed_with_sha1(authority: Authority, certificate: x509.Certificate) -> x509.Certificate:
    """The certificate with a signature by ECDSA with SHA-1, which `cryptography` does not make."""
    _, fields = _children(certificate.tbs_certificate_bytes)
    algorithm = _sequence(bytes.fromhex("06072a8648ce3d0401"))
    return _signed(authority, [*fields[:2], algorithm, *fields[3:]], algorithm, hashes.SHA1())  # noqa: S303


def _signed(
    authority: Authority, fields: list[bytes], algorithm: bytes, digest: hashes.HashAlgorithm
) -> x509.Certificate:
    body = _sequence(b"".join(fields))
    signature = authority.key.sign(body, ec.ECDSA(digest))
    bits = b"\x03" + _length(len(signature) + 1) + b"\x00" + signature
    return x509.load_der_x509_certificate(_sequence(body + algorithm + bits))


def _authority(
    subject: x509.Name,
    issuer: Authority | None,
    public_key: Any,
    now: datetime,
    *,
    own_key: Any = None,
    extensions: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - YEAR)
        .not_valid_after(now + YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if issuer:
        builder = builder.add_extension(_signer(issuer), critical=False)
    for each in extensions:
        builder = builder.add_extension(each, critical=True)
    key = issuer.key if issuer else own_key
    return builder.sign(key, _algorithm(key, None))


def _algorithm(key: Any, algorithm: Any) -> Any:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else algorithm or hashes.SHA256()


def _signer(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _children(der: bytes) -> tuple[int, list[bytes]]:
    """Tag and elements of a constructed DER value."""
    header, size = _header(der)
    content, elements = der[header : header + size], []
    while content:
        inner, length = _header(content)
        elements.append(content[: inner + length])
        content = content[inner + length :]
    return der[0], elements


def _header(der: bytes) -> tuple[int, int]:
    if der[1] < 0x80:
        return 2, der[1]
    count = der[1] & 0x7F
    return 2 + count, int.from_bytes(der[2 : 2 + count], "big")


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits


def _sequence(content: bytes) -> bytes:
    return b"\x30" + _length(len(content)) + content
