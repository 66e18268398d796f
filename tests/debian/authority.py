"""The authority that machines trust besides the public ones, and one certificate for all stand-ins."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from emulator.core.certificate_building import builder, key_usage, new_key, pem_of_key, signed, subject

CERTIFICATE = "authority.crt"
_SERVER = "server.pem"
# As long as the image may lie in the cache.
_LIFE = timedelta(days=3650)


def make(folder: Path, names: tuple[str, ...]) -> None:
    """Make both; `names` are those of the hosts that are stood in for."""
    now = datetime.now(UTC)
    authority, server = new_key("EC_prime256v1"), new_key("EC_prime256v1")
    name = subject("test authority")
    root = signed(
        builder(name, name, authority, now, _LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True),
        authority,
        hashes.SHA256(),
    )
    leaf = signed(
        builder(subject("stand-in"), name, server, now, _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False),
        authority,
        hashes.SHA256(),
    )
    (folder / CERTIFICATE).write_bytes(root.public_bytes(Encoding.PEM))
    (folder / _SERVER).write_bytes(leaf.public_bytes(Encoding.PEM) + pem_of_key(server))


def server_context(folder: Path) -> ssl.SSLContext:
    """TLS of the stand-ins, from a folder that `make` filled."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / _SERVER)
    return context
