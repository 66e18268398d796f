"""Why a client's certificate is refused in the handshake, in the words of the connection log.

OpenSSL builds the chain and checks signatures, dates, purposes and revocation; what it would let pass and
ALB does not is added for each certificate of the chain. Source: Elastic Load Balancing, "Mutual
authentication with TLS" (what certificates may be) and "Connection logs" (the codes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

FailureCode: TypeAlias = Literal[
    "ClientCertMaxChainDepthExceeded",
    "ClientCertMaxSizeExceeded",
    "ClientCertCrlHit",
    "ClientCertCrlProcessingError",
    "ClientCertUntrusted",
    "ClientCertNotYetValid",
    "ClientCertExpired",
    "ClientCertTypeUnsupported",
    "ClientCertInvalid",
    "ClientCertPurposeInvalid",
    "ClientCertRejected",
    "UnmappedConnectionError",
]

LONGEST_CHAIN = 4
"""Certificates from the client's own to the trusted root, both counted.

AWS says "maximum chain depth 4" and not how it counts; this is the narrowest reading, so that what passes
here passes there.
"""

LONGEST_MESSAGE_BYTES = 64 * 1024
"""Of TLS messages; a client whose certificates make its handshake longer is refused."""

_SMALLEST_RSA, _LARGEST_RSA = 2048, 8192

# Numbers of X509_V_ERR_*, which pyOpenSSL names only in part.
_EXPIRED, _NO_LIST = 10, 3
_ERRORS: Mapping[FailureCode, Sequence[int]] = {
    "ClientCertCrlHit": (23,),
    # CRL_SIGNATURE_FAILURE, CRL_NOT_YET_VALID, CRL_HAS_EXPIRED, ERROR_IN_CRL_LAST_UPDATE_FIELD,
    # ERROR_IN_CRL_NEXT_UPDATE_FIELD, UNABLE_TO_GET_CRL_ISSUER, KEYUSAGE_NO_CRL_SIGN,
    # UNHANDLED_CRITICAL_CRL_EXTENSION, DIFFERENT_CRL_SCOPE, CRL_PATH_VALIDATION_ERROR
    "ClientCertCrlProcessingError": (8, 11, 12, 15, 16, 33, 35, 36, 44, 54),
    "ClientCertExpired": (_EXPIRED,),
    "ClientCertMaxChainDepthExceeded": (22,),
    "ClientCertNotYetValid": (9,),
    "ClientCertPurposeInvalid": (26,),
    "ClientCertRejected": (28,),
    # EE_KEY_TOO_SMALL, CA_KEY_TOO_SMALL, CA_MD_TOO_WEAK
    "ClientCertTypeUnsupported": (66, 67, 68),
    # UNABLE_TO_GET_ISSUER_CERT, CERT_SIGNATURE_FAILURE, DEPTH_ZERO_SELF_SIGNED_CERT,
    # SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE,
    # CERT_UNTRUSTED
    "ClientCertUntrusted": (2, 7, 18, 19, 20, 21, 27),
}
_CODES: Mapping[int, FailureCode] = {error: code for code, errors in _ERRORS.items() for error in errors}


def failure(
    certificate: x509.Certificate, *, depth: int, error: int, ignore_expiry: bool
) -> FailureCode | None:
    """What is wrong with one certificate of a chain; None lets it pass.

    Args:
        certificate: The one that OpenSSL looks at.
        depth: Its place, the client's own being 0.
        error: OpenSSL's finding, 0 for none.
        ignore_expiry: Lets the client's own certificate have expired.
    """
    if depth >= LONGEST_CHAIN:
        return "ClientCertMaxChainDepthExceeded"
    # An authority for which no list was uploaded revokes nothing.
    excused = error == _NO_LIST or (error == _EXPIRED and ignore_expiry and depth == 0)
    if error and not excused:
        return _CODES.get(error, "ClientCertInvalid")
    return unsupported(certificate)


def unsupported(certificate: x509.Certificate) -> FailureCode | None:
    """Whether ALB takes a certificate of this kind: version, key and signature."""
    if certificate.version is not x509.Version.v3:
        return "ClientCertInvalid"
    supported = _supported_key(certificate) and _supported_signature(certificate)
    return None if supported else "ClientCertTypeUnsupported"


def _supported_key(certificate: x509.Certificate) -> bool:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return _SMALLEST_RSA <= key.key_size <= _LARGEST_RSA
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    )


def _supported_signature(certificate: x509.Certificate) -> bool:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return False
    return isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512)
