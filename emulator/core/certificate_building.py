"""What certificates of the sandbox's own authorities have in common."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ORGANISATION = "passwordless-postgres sandbox"
"""Says in every name that it is no certificate of whom it stands for."""
BACKDATED = timedelta(hours=1)
"""How long before its making a certificate begins, for clocks that differ."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def builder(
    subject: x509.Name, issuer: x509.Name, private: PrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    """A certificate for a key, without what makes it an authority's or a server's.

    Args:
        subject: Whose it is.
        issuer: Name of who will sign it.
        private: Its key.
        now: When it is made.
        life: For how long it is valid from then on.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    )


def signed(
    unsigned: x509.CertificateBuilder, signer: PrivateKey, digest: hashes.SHA256 | hashes.SHA384
) -> x509.Certificate:
    """The certificate, with the identifier of the key that signs it."""
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return unsigned.add_extension(issuer, critical=False).sign(signer, digest)


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What an authority's key is for, or else a server's or client's."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def pem_of_key(private: PrivateKey) -> bytes:
    """PKCS #8, without a passphrase."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
