"""Which client certificates are acceptable, whoever issued them.

The rules are those that an Application Load Balancer documents (ALB guide, mutual TLS, "Certificates"),
and one that it does not: the extended key usage must be clientAuth.
"""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from gateway.refusals import RefusalCode, Refused

RSA_BITS = range(2048, 8193)
CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.RSASSA_PSS,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    }
)
UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    TypeError,  # a name's attribute has an ASN.1 type that its kind cannot have
)
"""What `cryptography` raises for certificates and lists that are malformed or that it does not support."""
_Kind = TypeVar("_Kind", bound=x509.ExtensionType)
_HASHES = frozenset({"sha256", "sha384", "sha512"})


def check_certificate(certificate: x509.Certificate) -> None:
    """Check a client's certificate by itself: version, key, signature algorithm, purpose.

    Raises:
        Refused: it is not acceptable.
    """
    if certificate.version is not x509.Version.v3:
        raise Refused(RefusalCode.NOT_VERSION_3, "the certificate is not X.509 version 3")
    weak = weak_key(certificate)
    if weak:
        raise Refused(RefusalCode.WEAK_KEY, weak)
    _check_signature_algorithm(certificate)
    _check_purpose(certificate)


def weak_key(certificate: x509.Certificate) -> str | None:
    """What is wrong with the certificate's key; None if nothing is."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "the key cannot be read"
    if isinstance(key, rsa.RSAPublicKey):
        return None if key.key_size in RSA_BITS else f"the RSA key has {key.key_size} bits, not 2048 to 8192"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (
            None if key.curve.name in CURVES else f"the curve is {key.curve.name}, not P-256, P-384 or P-521"
        )
    return "the key is neither RSA nor ECDSA"


def _check_signature_algorithm(certificate: x509.Certificate) -> None:
    oid = certificate.signature_algorithm_oid
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if oid not in SIGNATURES or algorithm is None or algorithm.name not in _HASHES:
        raise Refused(
            RefusalCode.WEAK_SIGNATURE,
            f"the signature algorithm {oid.dotted_string} is not RSA or ECDSA with SHA-2",
        )


def _check_purpose(certificate: x509.Certificate) -> None:
    extensions = certificate.extensions
    constraints = _extension(extensions, x509.BasicConstraints)
    if constraints and constraints.ca:
        raise Refused(RefusalCode.IS_AUTHORITY, "the certificate is an authority's")
    usage = _extension(extensions, x509.KeyUsage)
    if usage and (usage.key_cert_sign or not usage.digital_signature):
        raise Refused(
            RefusalCode.WRONG_KEY_USAGE,
            "the key usage lacks digitalSignature, or allows to sign certificates",
        )
    purposes = _extension(extensions, x509.ExtendedKeyUsage)
    # Neither a missing extension nor anyExtendedKeyUsage counts as clientAuth.
    if not purposes or ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise Refused(RefusalCode.NOT_FOR_CLIENTS, "the extended key usage does not name clientAuth")


def _extension(extensions: x509.Extensions, kind: type[_Kind]) -> _Kind | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
