"""Certificates in AWS Certificate Manager, imported or asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from policy.registered import Resource
from policy.requirement import must, must_not_be
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import TextPlace, Value

if TYPE_CHECKING:
    from cryptography import x509

CERTIFICATE = "aws:acm/certificate:Certificate"
_GUIDE = "https://docs.aws.amazon.com/acm/latest/userguide"
_BODY = "certificateBody"
_WARNING = timedelta(days=30)
_LEAST_RSA_BITS = 2048


def _now() -> datetime:
    return datetime.now(tz=UTC)


def _imported(certificate: Resource) -> x509.Certificate | None:
    """What is imported; None when the certificate is not imported, or cannot be read."""
    from cryptography import x509

    body = certificate[_BODY]
    if not body.text():
        return None
    try:
        return x509.load_pem_x509_certificate(body.text().encode())
    except ValueError:
        return None


def _problems(found: x509.Certificate) -> Iterator[str]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID

    algorithm = found.signature_hash_algorithm
    if algorithm is not None and algorithm.name in ("md5", "sha1"):
        yield f"it is signed with {algorithm.name}"
    key = found.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        yield f"its key has {key.key_size} bits of RSA"
    if found.not_valid_after_utc < _now():
        yield f"it expired on {found.not_valid_after_utc.date()}"
    extensions = found.extensions
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is None or ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        yield "it is not for servers (extended key usage)"
    try:
        extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        yield "it has no subject alternative name"


def _is_sound(certificate: Resource) -> Iterator[Outcome]:
    if not certificate[_BODY].text():
        return
    found = _imported(certificate)
    if found is None:
        yield Problem(at=TextPlace(path=_BODY), reason="it cannot be parsed as a certificate in PEM")
        return
    for problem in _problems(found):
        yield Problem(at=TextPlace(path=_BODY), reason=problem)
    if not certificate["certificateChain"].given and found.issuer != found.subject:
        yield Problem(at=certificate["certificateChain"], reason="expected the authorities above it")


def _expires_soon(certificate: Resource) -> Iterator[Outcome]:
    found = _imported(certificate)
    if found is None:
        return
    left = found.not_valid_after_utc - _now()
    if timedelta(0) <= left < _WARNING:
        yield Problem(
            at=TextPlace(path=_BODY),
            reason=f"it expires on {found.not_valid_after_utc.date()}, in {left.days} days",
        )


def _strong(value: Value) -> bool:
    algorithm = value.text().upper()
    match = re.fullmatch(r"RSA_?([0-9]+)", algorithm)
    return (
        not algorithm
        or algorithm.startswith("EC_")
        or (match is not None and int(match[1]) >= _LEAST_RSA_BITS)
    )


def _no_wildcard(name: str) -> Callable[[Resource], Iterator[Outcome]]:
    return must(name, lambda value: "*" not in value.text(), "expected names without a wildcard")


def _stays_until_replaced(certificate: Resource) -> Iterator[Outcome]:
    if certificate.delete_before_replace:
        yield Problem(
            at=Value(path="deleteBeforeReplace", raw=True),
            reason="listeners need it until the new one is there",
        )


RULES = (
    Rule(
        id="PGTLS-P107",
        title="A certificate's key is strong",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(CERTIFICATE,),
        checks=(must("keyAlgorithm", _strong, "expected EC_prime256v1, EC_secp384r1 or RSA_2048 at least"),),
        why="Short keys can be broken.",
        fix="set keyAlgorithm to EC_prime256v1",
        link=f"{_GUIDE}/acm-certificate-characteristics.html",
        references=("SH:ACM.2",),
    ),
    Rule(
        id="PGTLS-P108",
        title="An imported certificate does not expire soon",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(CERTIFICATE,),
        checks=(_expires_soon,),
        why="ACM does not renew what is imported.",
        fix="import its successor",
        link=f"{_GUIDE}/import-reimport.html",
        references=("SH:ACM.1",),
    ),
    Rule(
        id="PGTLS-P109",
        title="A certificate is logged publicly",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(CERTIFICATE,),
        checks=(
            must_not_be(
                "options.certificateTransparencyLoggingPreference", "DISABLED", expected="expected ENABLED"
            ),
        ),
        why="Browsers refuse it, and nobody notices a false one.",
        fix="remove options.certificateTransparencyLoggingPreference",
        link=f"{_GUIDE}/acm-concepts.html",
    ),
    Rule(
        id="PGTLS-P110",
        title="A certificate stays until its successor is there",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(CERTIFICATE,),
        checks=(_stays_until_replaced,),
        why="In between, listeners have none; AWS refuses to delete one that is in use.",
        fix="remove the option delete_before_replace",
        link="https://www.pulumi.com/docs/iac/concepts/options/deletebeforereplace/",
    ),
    Rule(
        id="PGTLS-P111",
        title="A certificate names what it is for",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(CERTIFICATE,),
        checks=(_no_wildcard("domainName"), _no_wildcard("subjectAlternativeNames[]")),
        why="Whoever gets hold of a wildcard's key is every host of the domain.",
        fix="name each host",
        link=f"{_GUIDE}/acm-certificate-characteristics.html",
    ),
    Rule(
        id="PGTLS-N30",
        title="An imported certificate is sound",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(CERTIFICATE,),
        checks=(_is_sound,),
        why="ACM takes certificates that clients refuse.",
        fix="import one with SHA-256, a strong key, serverAuth, names, and its chain",
        link=f"{_GUIDE}/import-certificate-prerequisites.html",
    ),
)
