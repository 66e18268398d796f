"""Client certificates that a test issues itself, right and wrong in every way that matters to a gateway."""

from __future__ import annotations

import datetime
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pgpasswordless.identity_files import IdentityFiles
from tests.behaviour.issuing import Authority

SERVER_ONLY = (ExtendedKeyUsageOID.SERVER_AUTH,)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
HOUR = datetime.timedelta(hours=1)

KEYS: dict[str, Any] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA-1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505  it is what must be refused
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


class GatewayClients:
    """Issues by an authority whose key the test holds."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        """Keep what is needed."""
        self._authority = authority
        self._folder = folder
        self._numbers = count()

    def issue(
        self,
        *,
        uri: str | None = None,
        dns: str | None = None,
        common_name: str = "test",
        key: str = "P-256",
        usages: tuple[x509.ObjectIdentifier, ...] = CLIENT,
        begins: datetime.timedelta = -HOUR,
        ends: datetime.timedelta = HOUR,
        stranger: bool = False,
        intermediates: int = 0,
    ) -> IdentityFiles:
        """Files of a client; `intermediates` authorities stand between it and the root."""
        issuer = Authority.named_like(self._authority) if stranger else self._authority
        chain: list[x509.Certificate] = []
        for number in range(intermediates):
            below = ec.generate_private_key(ec.SECP256R1())
            certificate = self._certificate(issuer, below.public_key(), f"intermediate {number}", ca=True)
            issuer = Authority(certificate=certificate, key=below)
            chain.insert(0, certificate)
        private_key = KEYS[key]()
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)] if uri else []
        names += [x509.DNSName(dns)] if dns else []
        leaf = self._certificate(
            issuer,
            private_key.public_key(),
            common_name,
            names=names,
            usages=usages,
            begins=begins,
            ends=ends,
        )
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        files = IdentityFiles.in_directory(folder)
        files.certificate.write_bytes(
            b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (leaf, *chain))
        )
        files.key.touch(mode=0o600)
        files.key.write_bytes(
            private_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    @staticmethod
    def _certificate(
        issuer: Authority,
        public_key: Any,
        common_name: str,
        *,
        ca: bool = False,
        names: list[x509.GeneralName] | None = None,
        usages: tuple[x509.ObjectIdentifier, ...] = (),
        begins: datetime.timedelta = -HOUR,
        ends: datetime.timedelta = HOUR,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(issuer.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
            )
        )
        if ca:
            builder = builder.add_extension(
                x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False
            ).add_extension(_SIGNING, critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(issuer.key, hashes.SHA256())


_SIGNING = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
