"""Certificate authorities like those of RDS in a region: roots, issuing authorities, servers' certificates.

Names and kinds of keys are Amazon's; the organisation says that they are not. Layout below the folder:
    <identifier>/root.pem, root.key, issuing.pem, issuing.key
"""

from __future__ import annotations

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

from emulator.core.certificate_building import ORGANISATION, PrivateKey, key_usage, pem_of_key, signed
from emulator.core.certificate_building import builder as new_builder
from runtime.files import replace_file

HOST = "localhost"
"""The one name of every endpoint; there is no IP address in the certificates."""
DEFAULT_IDENTIFIER = "rds-ca-rsa2048-g1"
LEAF_LIFE = timedelta(days=365)
RENEWAL = timedelta(days=30)
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

    def new_key(self) -> PrivateKey:
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
        self._folder = folder
        self._region = region
        self._lock = threading.RLock()
        self.bundle = bundle

    def prepare(self) -> None:
        """Makes what is not there yet of roots and bundle."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock:
            roots = [self._root(identifier).public_bytes(serialization.Encoding.PEM) for identifier in KINDS]
            replace_file(self.bundle, b"".join(roots), 0o644)

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
            replace_file(key, pem_of_key(private), 0o600)
            pems = (certificate.public_bytes(serialization.Encoding.PEM) for certificate in (leaf, issuing))
            replace_file(chain, b"".join(pems), 0o600)
        return chain, key

    def _leaf(self, identifier: str, private: PrivateKey, now: datetime) -> x509.Certificate:
        issuing, signer = self._issuing(identifier), self._key(identifier, "issuing")
        builder = new_builder(_name(HOST), issuing.subject, private, now, LEAF_LIFE)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False
        ).add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        ).add_extension(key_usage(signs_certificates=False), critical=True)
        return signed(builder, signer, KINDS[identifier].digest())

    def _root(self, identifier: str) -> x509.Certificate:
        path = self._folder / identifier / "root.pem"
        if not path.exists():
            kind = KINDS[identifier]
            private = self._key(identifier, "root")
            name = _name(f"Amazon RDS {self._region} Root CA {kind.name}")
            builder = new_builder(name, name, private, datetime.now(UTC), timedelta(days=365 * kind.years))
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            certificate = signed(
                builder.add_extension(key_usage(signs_certificates=True), critical=True),
                private,
                kind.digest(),
            )
            replace_file(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return x509.load_pem_x509_certificate(path.read_bytes())

    def _issuing(self, identifier: str) -> x509.Certificate:
        path = self._folder / identifier / "issuing.pem"
        if not path.exists():
            kind = KINDS[identifier]
            root = self._root(identifier)
            name = _name(f"Amazon RDS {self._region} Subordinate CA {kind.name}.A.1")
            life = timedelta(days=365 * kind.years // 2)
            private = self._key(identifier, "issuing")
            builder = new_builder(name, root.subject, private, datetime.now(UTC), life)
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            certificate = signed(
                builder.add_extension(key_usage(signs_certificates=True), critical=True),
                self._key(identifier, "root"),
                kind.digest(),
            )
            replace_file(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return x509.load_pem_x509_certificate(path.read_bytes())

    def _key(self, identifier: str, purpose: str) -> PrivateKey:
        path = self._folder / identifier / f"{purpose}.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            replace_file(path, pem_of_key(KINDS[identifier].new_key()), 0o600)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, PrivateKey):
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


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Amazon RDS"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
