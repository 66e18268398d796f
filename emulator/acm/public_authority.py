"""The authority that stands for the public ones: a root and an issuing authority of the sandbox.

Layout below its folder:
    root.pem, root.key, issuing.pem, issuing.key    keys have mode 0600
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from emulator.core.certificate_building import ORGANISATION, Authority, PrivateKey, pem
from runtime.files import replace_file

LEAF_LIFE = timedelta(days=198)
"""Life of a certificate: what public authorities may give at most since March 2026, with a margin."""
_AUTHORITY_LIFE = timedelta(days=3650)


def new_key(algorithm: str) -> PrivateKey:
    """A key of an algorithm as ACM names it.

    Raises:
        ValueError: It is none that a certificate can be asked for with.
    """
    if algorithm == "RSA_2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "EC_prime256v1":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EC_secp384r1":
        return ec.generate_private_key(ec.SECP384R1())
    raise ValueError(f"key algorithm {algorithm!r}: RSA_2048, EC_prime256v1 and EC_secp384r1 are allowed")


class PublicAuthority:
    """Signs servers' certificates.

    Args:
        folder: Where it lies.
        bundle: File for its root, for clients to trust.
    """

    def __init__(self, folder: Path, bundle: Path) -> None:
        self._lock = threading.RLock()
        self._authority = Authority(
            folder=folder,
            root_name=_name("Public Stand-In Root CA"),
            issuing_name=_name("Public Stand-In Issuing CA"),
            new_key=lambda: new_key("EC_secp384r1"),
            digest=hashes.SHA384(),
            root_life=_AUTHORITY_LIFE,
            issuing_life=_AUTHORITY_LIFE,
        )
        self.bundle = bundle

    def prepare(self) -> None:
        """Makes what is not there yet."""
        with self._lock:
            root = self._authority.certificate("root")
            self._authority.certificate("issuing")
            replace_file(self.bundle, pem(root), 0o644)

    def issue(
        self, names: Sequence[str], private: PrivateKey, now: datetime | None = None
    ) -> Sequence[x509.Certificate]:
        """A server's certificate and the one of the authority that signed it.

        Args:
            names: DNS names; the first one is its common name too, where it is short enough.
            private: The server's key.
            now: For tests.
        """
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if len(names[0]) <= 64 else []
        with self._lock:
            self.prepare()
            leaf = self._authority.issue(
                x509.Name(subject), names, private, now or datetime.now(UTC), LEAF_LIFE
            )
            return leaf, self._authority.certificate("issuing")


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
