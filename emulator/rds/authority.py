"""Certificate authorities like those of RDS in a region: roots, issuing authorities, servers' certificates.

Names and kinds of keys are Amazon's; the organisation says that they are not.
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
from cryptography.x509.oid import NameOID

from emulator.core.certificate_building import ORGANISATION, PrivateKey, pem, pem_of_key
from emulator.core.certificate_building import Authority as RootAndIssuing
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
        folder: Where they are, one folder per identifier.
        bundle: File for the roots, for clients to trust.
        region: For their names.
    """

    def __init__(self, folder: Path, bundle: Path, region: str) -> None:
        self._lock = threading.RLock()
        self._authorities = {
            identifier: RootAndIssuing(
                folder=folder / identifier,
                root_name=_name(f"Amazon RDS {region} Root CA {kind.name}"),
                issuing_name=_name(f"Amazon RDS {region} Subordinate CA {kind.name}.A.1"),
                new_key=kind.new_key,
                digest=kind.digest(),
                root_life=timedelta(days=365 * kind.years),
                issuing_life=timedelta(days=365 * kind.years // 2),
            )
            for identifier, kind in KINDS.items()
        }
        self.bundle = bundle

    def prepare(self) -> None:
        """Makes what is not there yet of roots and bundle."""
        with self._lock:
            roots = [authority.certificate("root") for authority in self._authorities.values()]
            replace_file(self.bundle, pem(*roots), 0o644)

    def renew(self, identifier: str, folder: Path, now: datetime | None = None) -> tuple[Path, Path]:
        """A server's chain and key in `folder`, made anew when they are near their end or of another kind.

        Args:
            identifier: Which authority signs, such as `rds-ca-ecc384-g1`.
            folder: Of the instance.
            now: For tests.
        """
        now = now or datetime.now(UTC)
        chain, key = folder / "server.pem", folder / "server.key"
        authority = self._authorities[identifier]
        with self._lock:
            issuing = authority.certificate("issuing")
            if not _serves(chain, key, issuing, now):
                # The key first: a kill in between leaves a pair that does not match, which is made anew.
                private = authority.new_key()
                replace_file(key, pem_of_key(private), 0o600)
                leaf = authority.issue(_name(HOST), [HOST], private, now, LEAF_LIFE)
                replace_file(chain, pem(leaf, issuing), 0o600)
        return chain, key


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
