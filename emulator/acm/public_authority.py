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
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from emulator.core.certificate_building import ORGANISATION, PrivateKey, key_usage, pem_of_key, signed
from emulator.core.certificate_building import builder as new_builder
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
        self._folder = folder
        self._lock = threading.RLock()
        self.bundle = bundle

    def prepare(self) -> None:
        """Makes what is not there yet."""
        with self._lock:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = self._certificate("root")
            self._certificate("issuing")
            replace_file(self.bundle, root.public_bytes(serialization.Encoding.PEM), 0o644)

    def issue(
        self, names: Sequence[str], private: PrivateKey, now: datetime | None = None
    ) -> Sequence[x509.Certificate]:
        """A server's certificate and the one of the authority that signed it.

        Args:
            names: DNS names; the first one is its common name too, where it is short enough.
            private: The server's key.
            now: For tests.
        """
        now = now or datetime.now(UTC)
        with self._lock:
            self.prepare()
            issuing, signer = self._certificate("issuing"), self._key("issuing")
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if len(names[0]) <= 64 else []
        builder = (
            new_builder(x509.Name(subject), issuing.subject, private, now, LEAF_LIFE)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=not subject
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(key_usage(signs_certificates=False), critical=True)
        )
        return signed(builder, signer, hashes.SHA384()), issuing

    def _certificate(self, rank: str) -> x509.Certificate:
        path = self._folder / f"{rank}.pem"
        if not path.exists():
            private, signer = self._key(rank), self._key("root")
            name, issuer = (_name(f"Public Stand-In {each.title()} CA") for each in (rank, "root"))
            builder = (
                new_builder(name, issuer, private, datetime.now(UTC), _AUTHORITY_LIFE)
                .add_extension(
                    x509.BasicConstraints(ca=True, path_length=None if rank == "root" else 0), critical=True
                )
                .add_extension(key_usage(signs_certificates=True), critical=True)
            )
            replace_file(
                path, signed(builder, signer, hashes.SHA384()).public_bytes(serialization.Encoding.PEM), 0o644
            )
        return x509.load_pem_x509_certificate(path.read_bytes())

    def _key(self, rank: str) -> PrivateKey:
        path = self._folder / f"{rank}.key"
        if not path.exists():
            replace_file(path, pem_of_key(new_key("EC_secp384r1")), 0o600)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, PrivateKey):
            raise TypeError(f"{path} holds no key of an authority; run `make clean`")
        return key


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
