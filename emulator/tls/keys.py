"""Private keys in the forms in which pulumi-tls gives them."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from emulator.core.resource_type import Refused

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

ALGORITHMS: Final = ("ECDSA", "ED25519", "RSA")
CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "P224": ec.SECP224R1,
    "P256": ec.SECP256R1,
    "P384": ec.SECP384R1,
    "P521": ec.SECP521R1,
}

OPENSSH_FORMS: Final = (
    "privateKeyOpenssh", "publicKeyOpenssh", "publicKeyFingerprintMd5", "publicKeyFingerprintSha256",
)  # fmt: skip


def generate_private_key(algorithm: str, *, curve: str, bits: int) -> PrivateKey:
    """A new key. `curve` matters for ECDSA only, `bits` for RSA only.

    Raises:
        Refused: RSA with fewer than 1024 bits.
    """
    if algorithm == "ECDSA":
        return ec.generate_private_key(CURVES[curve]())
    if algorithm == "ED25519":
        return ed25519.Ed25519PrivateKey.generate()
    try:
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    except ValueError as error:
        raise Refused(f"Unable to generate Key from configuration: rsaBits {bits}: {error}") from error


def parse_private_key(pem: str, *, whose: str = "private key") -> PrivateKey:
    """The key in a PEM text: SEC1, PKCS#1, PKCS#8 or OpenSSH.

    Raises:
        Refused: It is malformed, encrypted, or of an algorithm that pulumi-tls does not know.
    """
    data = pem.encode()
    try:
        if "OPENSSH PRIVATE KEY" in pem:
            key = load_ssh_private_key(data, password=None)
        else:
            key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused(f"Failed to parse {whose} PEM: {type(error).__name__}") from error
    if not isinstance(key, PrivateKey):
        raise Refused(f"Failed to parse {whose} PEM: {type(key).__name__} is none of {', '.join(ALGORITHMS)}")
    return key


def algorithm_of(key: PrivateKey) -> str:
    """The name that pulumi-tls gives the algorithm."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return "ECDSA"
        case ed25519.Ed25519PrivateKey():
            return "ED25519"
        case _:
            return "RSA"


def private_pem(key: PrivateKey) -> str:
    """SEC1 for ECDSA, PKCS#1 for RSA, PKCS#8 for Ed25519."""
    form = (
        PrivateFormat.PKCS8
        if isinstance(key, ed25519.Ed25519PrivateKey)
        else PrivateFormat.TraditionalOpenSSL
    )
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def private_pem_pkcs8(key: PrivateKey) -> str:
    """PKCS#8, which every client accepts."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: PrivateKey) -> str:
    """SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def openssh_forms(key: PrivateKey) -> dict[str, str]:
    """OpenSSH forms and fingerprints; all empty for P-224, which OpenSSH does not have."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP224R1):
        return dict.fromkeys(OPENSSH_FORMS, "")
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    blob = base64.b64decode(line.split()[1])
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return {
        "privateKeyOpenssh": key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
        "publicKeyOpenssh": f"{line}\n",
        "publicKeyFingerprintMd5": ":".join(digest[i : i + 2] for i in range(0, 32, 2)),
        "publicKeyFingerprintSha256": "SHA256:"
        + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("="),
    }
