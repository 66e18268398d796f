"""Certificates that a test issues itself: by an authority of the deployment, or by a stranger."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority whose key the test holds."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def from_pem(cls, certificate: str, key: str) -> Authority:
        """The authority of a deployment, as its engine's state holds it."""
        loaded = serialization.load_pem_private_key(key.encode(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        return cls(certificate=x509.load_pem_x509_certificate(certificate.encode()), key=loaded)

    @classmethod
    def named_like(cls, other: Authority) -> Authority:
        """Another authority with the same subject: only its key differs."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(other.certificate.subject)
            .issuer_name(other.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate=certificate, key=key)


@dataclass(frozen=True, kw_only=True)
class ClientFiles:
    """Paths as libpq wants them."""

    sslcert: Path
    sslkey: Path


def issue_client(
    authority: Authority,
    common_name: str,
    folder: Path,
    *,
    usage: x509.ObjectIdentifier = CLIENT,
    valid_for: datetime.timedelta = datetime.timedelta(days=1),
) -> ClientFiles:
    """A leaf for `common_name`; a negative `valid_for` makes one that has expired already."""
    key = ec.generate_private_key(ec.SECP256R1())
    end = datetime.datetime.now(datetime.UTC) + valid_for
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=2))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(common_name.replace("_", "-"))]), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    files = ClientFiles(sslcert=folder / "client.crt", sslkey=folder / "client.key")
    files.sslcert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.sslkey.touch(mode=0o600)
    files.sslkey.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files
