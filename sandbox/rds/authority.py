"""Certificate authorities like those of RDS in a region: roots, issuing authorities, servers' certificates.

Names and kinds of keys are Amazon's; the organisation says that they are not. Layout below the folder:
    <identifier>/root.pem, root.key, issuing.pem, issuing.key
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "localhost"
"""The one name of every endpoint; there is no IP address in the certificates."""
DEFAULT_IDENTIFIER = "rds-ca-rsa2048-g1"
LEAF_LIFE = timedelta(days=365)
RENEWAL = timedelta(days=30)
_BACKDATED = timedelta(hours=1)
_ORGANISATION = "passwordless-postgres sandbox"

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_Hash = hashes.SHA256 | hashes.SHA384


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of RDS's authorities.

    Attributes:
        name: As in the names of its certificates.
        bits: Size of RSA keys; 0 for P-384.
        digest: What it signs with.
        years: Life of the root.
    """

    name: str
    bits: int
    digest: type[_Hash]
    years: int

    def new_key(self) -> _Key:
        """A key of this kind."""
        if self.bits:
            return rsa.generate_private_key(public_exponent=65537, key_size=self.bits)
        return ec.generate_private_key(ec.SECP384R1())


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "rds-ca-rsa2048-g1": Kind(name="RSA2048 G1", bits=2048, digest=hashes.SHA256, years=40),
        "rds-ca-rsa4096-g1": Kind(name="RSA4096 G1", bits=4096, digest=hashes.SHA384, years=100),
        "rds-ca-ecc384-g1": Kind(name="ECC384 G1", bits=0, digest=hashes.SHA384, years=100),
    }
)


class Authority:
    """The authorities of a sandbox, made when they are first asked for.

    Args:
        folder: Where they lie; keys have mode 0600.
        bundle: File for the roots, for clients to trust.
        region: For their names.
    """

    def __init__(self, folder: Path, bundle: Path, region: str) -> None:
        """See the class."""
        self._folder = folder
        self._region = region
        self._lock = threading.RLock()
        self.bundle = bundle

    def prepare(self) -> None:
        """Makes what is not there yet of roots and bundle."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock:
            roots = [self._root(identifier).public_bytes(serialization.Encoding.PEM) for identifier in KINDS]
            _replace(self.bundle, b"".join(roots), 0o644)

    def renew(self, identifier: str, folder: Path, now: datetime | None = None) -> tuple[Path, Path]:
        """A server's chain and key in `folder`, made anew when they are near their end or of another kind.

        Args:
            identifier: Which authority signs, such as `rds-ca-ecc384-g1`.
            folder: Of the instance.
            now: For tests.
        """
        now = now or datetime.now(UTC)
        chain, key = folder / "server.pem", folder / "server.key"
        with self._lock:
            issuing = self._issuing(identifier)
        if not _serves(chain, key, issuing, now):
            # The key first: a kill in between leaves a pair that does not match, which is made anew.
            private = KINDS[identifier].new_key()
            leaf = self._leaf(identifier, private, now)
            _replace(key, _pem_of_key(private), 0o600)
            pems = (certificate.public_bytes(serialization.Encoding.PEM) for certificate in (leaf, issuing))
            _replace(chain, b"".join(pems), 0o600)
        return chain, key

    def _leaf(self, identifier: str, private: _Key, now: datetime) -> x509.Certificate:
        issuing, signer = self._issuing(identifier), self._key(identifier, "issuing")
        builder = _builder(_name(HOST), issuing.subject, private, now, LEAF_LIFE)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False
        ).add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        ).add_extension(_usage(signs_certificates=False), critical=True)
        return _signed(builder, signer, identifier)

    def _root(self, identifier: str) -> x509.Certificate:
        path = self._folder / identifier / "root.pem"
        if not path.exists():
            kind = KINDS[identifier]
            private = self._key(identifier, "root")
            name = _name(f"Amazon RDS {self._region} Root CA {kind.name}")
            builder = _builder(name, name, private, datetime.now(UTC), timedelta(days=365 * kind.years))
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            certificate = _signed(
                builder.add_extension(_usage(signs_certificates=True), critical=True), private, identifier
            )
            _replace(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return x509.load_pem_x509_certificate(path.read_bytes())

    def _issuing(self, identifier: str) -> x509.Certificate:
        path = self._folder / identifier / "issuing.pem"
        if not path.exists():
            kind = KINDS[identifier]
            root = self._root(identifier)
            name = _name(f"Amazon RDS {self._region} Subordinate CA {kind.name}.A.1")
            life = timedelta(days=365 * kind.years // 2)
            private = self._key(identifier, "issuing")
            builder = _builder(name, root.subject, private, datetime.now(UTC), life)
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            certificate = _signed(
                builder.add_extension(_usage(signs_certificates=True), critical=True),
                self._key(identifier, "root"),
                identifier,
            )
            _replace(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return x509.load_pem_x509_certificate(path.read_bytes())

    def _key(self, identifier: str, purpose: str) -> _Key:
        path = self._folder / identifier / f"{purpose}.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _replace(path, _pem_of_key(KINDS[identifier].new_key()), 0o600)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, _Key):
            raise TypeError(f"{path} holds no key of an authority; run `make clean`")
        return key


def not_after(chain: Path) -> datetime:
    """End of the validity of a server's certificate."""
    return x509.load_pem_x509_certificates(chain.read_bytes())[0].not_valid_after_utc


def _serves(chain: Path, key: Path, issuing: x509.Certificate, now: datetime) -> bool:
    try:
        leaf, *_ = x509.load_pem_x509_certificates(chain.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError):
        return False
    encoding = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return (
        leaf.issuer == issuing.subject
        and leaf.not_valid_after_utc - now > RENEWAL
        and leaf.public_key().public_bytes(*encoding) == private.public_key().public_bytes(*encoding)
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, private: _Key, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, signer: _Key, identifier: str) -> x509.Certificate:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return builder.add_extension(issuer, critical=False).sign(signer, KINDS[identifier].digest())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
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


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Amazon RDS"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _pem_of_key(private: _Key) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _replace(path: Path, content: bytes, mode: int) -> None:
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.chmod(mode)
    partial.replace(path)
