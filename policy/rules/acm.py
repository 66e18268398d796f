"""Certificates in AWS Certificate Manager, imported or requested."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from policy.property_checks import must, must_not_be
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.type_tokens import ACM_CERTIFICATE
from policy.values import TextPlace, Value

if TYPE_CHECKING:
    from cryptography import x509

_GUIDE = "https://docs.aws.amazon.com/acm/latest/userguide"
_BODY = "certificateBody"
_WARNING = timedelta(days=30)
_LEAST_RSA_BITS = 2048


def _now() -> datetime:
    return datetime.now(tz=UTC)


def _imported(certificate: Resource) -> x509.Certificate | None:
    """The imported certificate; None where it is not imported or cannot be parsed."""
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
        yield f"it is signed with {algorithm.name}; expected SHA-256 or stronger"
    key = found.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        yield f"its RSA key has {key.key_size} bits; expected {_LEAST_RSA_BITS} or more"
    if found.not_valid_after_utc < _now():
        yield f"it expired on {found.not_valid_after_utc.date()}"
    extensions = found.extensions
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    # Without the extension a certificate is valid for every purpose (RFC 5280, 4.2.1.12).
    accepted = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not accepted & set(usage):
        yield "it is not valid for servers; expected the extended key usage serverAuth"
    try:
        extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        yield "it has no subject alternative names"


def _is_sound(certificate: Resource) -> Iterator[Outcome]:
    if not certificate[_BODY].text():
        return
    found = _imported(certificate)
    if found is None:
        yield Problem(at=TextPlace(path=_BODY), reason="it is not a certificate in PEM")
        return
    for problem in _problems(found):
        yield Problem(at=TextPlace(path=_BODY), reason=problem)
    if not certificate["certificateChain"].given and found.issuer != found.subject:
        yield Problem(
            at=certificate["certificateChain"],
            reason="expected its authorities' certificates, unless clients have all of them",
            severity=Severity.MEDIUM,
        )


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
    return must(name, lambda value: "*" not in value.text(), "expected a name without a wildcard")


def _stays_until_replaced(certificate: Resource) -> Iterator[Outcome]:
    if certificate.delete_before_replace:
        yield Problem(
            at=Value(path="deleteBeforeReplace", raw=True),
            reason="expected false; listeners need the certificate until the new one exists",
        )


RULES = (
    Rule(
        id="PGTLS-P107",
        title="The certificate's key is strong",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(ACM_CERTIFICATE,),
        checks=(must("keyAlgorithm", _strong, "expected EC_prime256v1, EC_secp384r1 or at least RSA_2048"),),
        why="A weak key can be broken.",
        fix="set keyAlgorithm to EC_prime256v1",
        link=f"{_GUIDE}/acm-certificate-characteristics.html",
        references=("SH:ACM.2",),
    ),
    Rule(
        id="PGTLS-P108",
        title="Imported certificates do not expire within 30 days",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(ACM_CERTIFICATE,),
        checks=(_expires_soon,),
        why="ACM does not renew imported certificates.",
        fix="import the renewed certificate",
        link=f"{_GUIDE}/import-reimport.html",
        references=("SH:ACM.1",),
    ),
    Rule(
        id="PGTLS-P109",
        title="Certificates are logged for certificate transparency",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(ACM_CERTIFICATE,),
        checks=(
            must_not_be(
                "options.certificateTransparencyLoggingPreference", "DISABLED", expected="expected ENABLED"
            ),
        ),
        why="Browsers reject certificates that are not logged, and a fraudulent one goes unnoticed.",
        fix="remove options.certificateTransparencyLoggingPreference",
        link=f"{_GUIDE}/acm-concepts.html",
    ),
    Rule(
        id="PGTLS-P110",
        title="A certificate is created before the old one is deleted",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(ACM_CERTIFICATE,),
        checks=(_stays_until_replaced,),
        why="Listeners would have no certificate in between, and AWS refuses to delete one in use.",
        fix="remove the delete_before_replace option",
        link="https://www.pulumi.com/docs/iac/concepts/options/deletebeforereplace/",
    ),
    Rule(
        id="PGTLS-P111",
        title="Certificates name single hosts",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(ACM_CERTIFICATE,),
        checks=(_no_wildcard("domainName"), _no_wildcard("subjectAlternativeNames[]")),
        why="Whoever obtains the key of a wildcard certificate can impersonate every host of the domain.",
        fix="list each host name",
        link=f"{_GUIDE}/acm-certificate-characteristics.html",
    ),
    Rule(
        id="PGTLS-N30",
        title="Imported certificates are valid for servers",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(ACM_CERTIFICATE,),
        checks=(_is_sound,),
        why="ACM accepts certificates that clients reject.",
        fix="import a certificate with a strong key, SHA-256, serverAuth, alternative names, and its chain",
        link=f"{_GUIDE}/import-certificate-prerequisites.html",
    ),
)
