"""Checks of the server's certificate and key, and of the authorities that sign clients' certificates."""

from __future__ import annotations

import datetime
import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from runtime.identity_secret import IdentityDocument
from runtime.pem_text import held

SMALLEST_RSA_BITS = 3072


def leaf_sha256(identity: IdentityDocument) -> str:
    """SHA-256 of the leaf's DER form, as a TLS client sees it."""
    leaf = x509.load_pem_x509_certificate(identity.certificate.encode())
    return hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()


def leaf_not_after(identity: IdentityDocument) -> str:
    """When the leaf expires, ISO 8601 in UTC."""
    return x509.load_pem_x509_certificate(identity.certificate.encode()).not_valid_after_utc.isoformat()


def identity_problems(identity: IdentityDocument, now: datetime.datetime) -> list[str]:
    """Why clients would not accept this identity, or the server could not use it; empty if it is valid."""
    try:
        chain = x509.load_pem_x509_certificates(identity.certificate.encode())
    except ValueError as error:
        found = f"{held(identity.certificate)}, not readable as PEM ({error})"
        return [f"server certificate holds {found}; give the leaf first, then intermediates"]
    leaf = chain[0]
    named = f"server certificate {leaf.subject.rfc4514_string() or '(empty subject)'}"
    problems: list[str] = []
    if leaf.not_valid_after_utc <= now:
        problems.append(f"{named} expired at {leaf.not_valid_after_utc.isoformat()}; issue a new one")
    if leaf.not_valid_before_utc > now:
        problems.append(f"{named} is not valid before {leaf.not_valid_before_utc.isoformat()}")
    problems += [f"{named} {problem}" for problem in (*_usage_problems(leaf), *_key_problems(leaf))]
    problems += _private_key_problems(identity, chain, named)
    return problems


def _usage_problems(leaf: x509.Certificate) -> list[str]:
    problems: list[str] = []
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if list(usages) != [ExtendedKeyUsageOID.SERVER_AUTH]:
            problems.append("must have the extended key usage serverAuth and no other")
    except x509.ExtensionNotFound:
        problems.append("has no extended key usage; it must be serverAuth")
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if not names.get_values_for_type(x509.DNSName) and not names.get_values_for_type(x509.IPAddress):
            problems.append("has no DNS name or address among its subject alternative names")
    except x509.ExtensionNotFound:
        problems.append("has no subject alternative name; Go, Java and Node ignore the common name")
    return problems


def _key_problems(leaf: x509.Certificate) -> list[str]:
    allowed = f"use ECDSA P-256 or RSA with at least {SMALLEST_RSA_BITS} bits"
    try:
        key = leaf.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return [f"has a key of an unknown kind; {allowed}"]
    if isinstance(key, ec.EllipticCurvePublicKey):
        return [] if isinstance(key.curve, ec.SECP256R1) else [f"has a key on {key.curve.name}; {allowed}"]
    if isinstance(key, rsa.RSAPublicKey):
        return [] if key.key_size >= SMALLEST_RSA_BITS else [f"has {key.key_size} RSA bits; {allowed}"]
    return [f"has a key of kind {type(key).__name__.removesuffix('PublicKey')}; {allowed}"]


def _private_key_problems(identity: IdentityDocument, chain: list[x509.Certificate], named: str) -> list[str]:
    if "-----BEGIN PRIVATE KEY-----" not in identity.private_key:
        found = held(identity.private_key)
        return [f"server private key must be unencrypted PKCS#8 PEM (BEGIN PRIVATE KEY), and holds {found}"]
    try:
        key = load_pem_private_key(identity.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return ["server private key is not readable as PKCS#8 PEM"]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    owned = key.public_key().public_bytes(*form)
    if owned == chain[0].public_key().public_bytes(*form):
        return []
    if any(owned == each.public_key().public_bytes(*form) for each in chain[1:]):
        return [f"server private key is of a later certificate than {named}; give the leaf first"]
    return [f"server private key does not match {named}: both must come from the same issuance"]


def authorities_problems(bundle: bytes, now: datetime.datetime) -> list[str]:
    """Why client certificates could not be checked against this bundle; empty if it is valid."""
    try:
        authorities = x509.load_pem_x509_certificates(bundle)
    except ValueError as error:
        return [f"client-ca.crt holds {held(bundle)}, not readable as PEM ({error})"]
    problems: list[str] = []
    for authority in authorities:
        named = f"client-ca.crt: {authority.subject.rfc4514_string()}"
        try:
            constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
            if not constraints.ca:
                problems.append(f"{named} is not an authority (CA:FALSE)")
        except x509.ExtensionNotFound:
            problems.append(f"{named} has no basic constraints; an authority has CA:TRUE")
        if authority.not_valid_after_utc <= now:
            problems.append(f"{named} expired at {authority.not_valid_after_utc.isoformat()}")
    if not any(authority.subject == authority.issuer for authority in authorities):
        problems.append("client-ca.crt: none is self-signed; PostgreSQL needs the chain up to a root")
    return problems
