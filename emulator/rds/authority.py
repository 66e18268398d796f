"""Certificate authorities like those of RDS in a region: roots, issuing authorities, servers' certificates.

Names and kinds of keys are Amazon's; the organisation says that they are not.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from emulator.core.certificate_building import Authority as RootAndIssuing
from emulator.core.certificate_building import Server, pem, subject
from runtime.files import replace_file

HOST = "localhost"
"""The one name of every endpoint; there is no IP address in the certificates."""
DEFAULT_IDENTIFIER = "rds-ca-rsa2048-g1"
LEAF_LIFE = timedelta(days=365)
RENEWAL = timedelta(days=30)
_UNIT = "Amazon RDS"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of RDS's authorities.

    Attributes:
        name: As in the names of its certificates.
        algorithm: Of its keys and of those that it certifies.
        digest: What it signs with.
        years: Life of the root.
    """

    name: str
    algorithm: str
    digest: hashes.SHA256 | hashes.SHA384
    years: int


KINDS: Mapping[str, Kind] = {
    "rds-ca-rsa2048-g1": Kind(name="RSA2048 G1", algorithm="RSA_2048", digest=hashes.SHA256(), years=40),
    "rds-ca-rsa4096-g1": Kind(name="RSA4096 G1", algorithm="RSA_4096", digest=hashes.SHA384(), years=100),
    "rds-ca-ecc384-g1": Kind(name="ECC384 G1", algorithm="EC_secp384r1", digest=hashes.SHA384(), years=100),
}


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
                root_name=subject(f"Amazon RDS {region} Root CA {kind.name}", _UNIT),
                issuing_name=subject(f"Amazon RDS {region} Subordinate CA {kind.name}.A.1", _UNIT),
                algorithm=kind.algorithm,
                digest=kind.digest,
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
        chain, key = folder / "server.pem", folder / "server.key"
        server = Server(chain=chain, key=key, life=LEAF_LIFE, renewal=RENEWAL)
        algorithm = KINDS[identifier].algorithm
        with self._lock:
            self._authorities[identifier].renew(
                server, subject(HOST, _UNIT), [HOST], algorithm, now or datetime.now(UTC)
            )
        return chain, key
