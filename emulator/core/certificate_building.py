"""Certificates of the sandbox's own authorities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.files import replace_file

ORGANISATION = "passwordless-postgres sandbox"
"""Says in every name that it is no certificate of whom it stands for."""
BACKDATED = timedelta(hours=1)
"""How long before its making a certificate begins, for clocks that differ."""

KEY_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
"""All that X.509 has."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def builder(
    subject: x509.Name, issuer: x509.Name, private: PrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    """A certificate for a key, without what makes it an authority's or a server's.

    Args:
        issuer: Name of who will sign it.
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
    allowed = ("key_cert_sign", "crl_sign") if signs_certificates else ("digital_signature",)
    return x509.KeyUsage(**{usage: usage in allowed for usage in KEY_USAGES})


def pem_of_key(private: PrivateKey) -> bytes:
    """PKCS #8, without a passphrase."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def new_key(algorithm: str) -> PrivateKey:
    """A key of an algorithm as ACM names it.

    Raises:
        ValueError: It is none that a certificate can be asked for with.
    """
    match algorithm:
        case "RSA_2048" | "RSA_4096":
            return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm[-4:]))
        case "EC_prime256v1":
            return ec.generate_private_key(ec.SECP256R1())
        case "EC_secp384r1":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            raise ValueError(f"key algorithm {algorithm!r} is not known")


def subject(common_name: str, unit: str | None = None) -> x509.Name:
    """The name of something that the sandbox certifies."""
    units = [] if unit is None else [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)]
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            *units,
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a server's certificate and key are, with mode 0600, and how long they serve.

    Attributes:
        chain: Its certificate and the one of the authority that signed it.
        life: For how long a certificate is valid.
        renewal: How much of that is left when it is renewed.
    """

    chain: Path
    key: Path
    life: timedelta
    renewal: timedelta

    def fits(self, issuing: x509.Certificate, now: datetime) -> bool:
        """Whether both are there, belong together and to an authority, and are not near their end."""
        try:
            leaf, *_ = x509.load_pem_x509_certificates(self.chain.read_bytes())
            private = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        except (OSError, ValueError):
            return False
        return (
            leaf.issuer == issuing.subject
            and leaf.not_valid_after_utc - now > self.renewal
            and leaf.public_key() == private.public_key()
        )


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A root and an issuing authority in a folder, made when they are first asked for.

    Files: root.pem, root.key, issuing.pem, issuing.key; keys have mode 0600. Callers hold a lock.

    Attributes:
        folder: Where they are.
        root_name: Subject of the root.
        issuing_name: Subject of the issuing authority.
        algorithm: Of their keys.
        digest: What it signs with.
    """

    folder: Path
    root_name: x509.Name
    issuing_name: x509.Name
    algorithm: str
    digest: hashes.SHA256 | hashes.SHA384
    root_life: timedelta
    issuing_life: timedelta

    def certificate(self, rank: Literal["root", "issuing"]) -> x509.Certificate:
        """The certificate of one of the two."""
        path = self.folder / f"{rank}.pem"
        if not path.exists():
            name, life, below = (
                (self.root_name, self.root_life, None)
                if rank == "root"
                else (self.issuing_name, self.issuing_life, 0)
            )
            unsigned = (
                builder(name, self.root_name, self._key(rank), datetime.now(UTC), life)
                .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
                .add_extension(key_usage(signs_certificates=True), critical=True)
            )
            replace_file(path, pem(signed(unsigned, self._key("root"), self.digest)), 0o644)
        return x509.load_pem_x509_certificate(path.read_bytes())

    def renew(
        self, server: Server, subject: x509.Name, names: Sequence[str], algorithm: str, now: datetime
    ) -> None:
        """Makes a server's certificate and key anew when they are near their end, or not of this authority.

        Args:
            server: Where they are.
            subject: Whose certificate it is; its DNS names are critical where it is empty.
            names: DNS names.
            algorithm: Of the key.
            now: The time.
        """
        issuing = self.certificate("issuing")
        if server.fits(issuing, now):
            return
        # The key first: a kill in between leaves a pair that does not match, which is made anew.
        private = new_key(algorithm)
        replace_file(server.key, pem_of_key(private), 0o600)
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        unsigned = (
            builder(subject, self.issuing_name, private, now, server.life)
            .add_extension(alternative, critical=not subject.rdns)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(key_usage(signs_certificates=False), critical=True)
        )
        leaf = signed(unsigned, self._key("issuing"), self.digest)
        replace_file(server.chain, pem(leaf, issuing), 0o600)

    def _key(self, rank: str) -> PrivateKey:
        path = self.folder / f"{rank}.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, pem_of_key(new_key(self.algorithm)), 0o600)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, PrivateKey):
            raise TypeError(f"{path} holds no key of an authority; run `make clean`")
        return key


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates as PEM text, one after the other."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)
