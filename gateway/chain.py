"""The document's client authority, and the chain from a certificate to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store

from gateway.certificate_policy import weak_key
from gateway.errors import DocumentError
from gateway.refusals import RefusalCode, Refused
from gateway.validity import life_left
from pgpasswordless.errors import one_line

MAX_CHAIN_DEPTH = 4
"""Authorities above a client's certificate, the root among them (ALB guide, quotas)."""

_NO_CHAIN = "no chain of at most {depth} authorities leads from the certificate to a trusted one: {why}"


_AGAIN = (
    "issue it again with the same subject and key, which keeps its clients' certificates good, such as with"
    " openssl req -x509 -new -key ca.key -subj '/CN=…' -days 1826 -addext basicConstraints=critical,CA:TRUE"
    " -addext keyUsage=critical,keyCertSign,cRLSign"
)
_UNDERSTOOD = frozenset(
    each.oid
    for each in (
        x509.AuthorityKeyIdentifier,
        x509.BasicConstraints,
        x509.ExtendedKeyUsage,
        x509.KeyUsage,
        x509.NameConstraints,
        x509.SubjectAlternativeName,
        x509.SubjectKeyIdentifier,
    )
)
_PURPOSES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)


class ClientAuthority:
    """The authorities that the gateway trusts to issue clients' certificates.

    The listener forwards only the leaf, so intermediates come from the document too. A certificate of
    the bundle whose issuer is not in it is an anchor: a root, or an intermediate that alone is trusted.
    """

    def __init__(self, bundle: str) -> None:
        """Read PEM certificates.

        Raises:
            DocumentError: the bundle cannot be read, or holds a certificate that is not an authority's.
        """
        try:
            self.certificates = tuple(x509.load_pem_x509_certificates(bundle.encode()))
        except (ValueError, x509.InvalidVersion) as error:
            raise DocumentError(
                f"clientAuthorities cannot be read as PEM certificates: {error}; put the authorities'"
                " certificates there, one after another"
            ) from None
        for certificate in self.certificates:
            _require_authority(certificate)
        self._names = {certificate.subject for certificate in self.certificates}
        self._anchors = [
            certificate
            for certificate in self.certificates
            if certificate.issuer == certificate.subject or certificate.issuer not in self._names
        ]
        if not self._anchors:
            raise DocumentError("clientAuthorities holds no anchor: the issuers form a circle")
        self._store = Store(self._anchors)
        self._intermediates = [each for each in self.certificates if each not in self._anchors]
        self._authority_extensions, self._leaf_extensions = _authority_extensions(), _leaf_extensions()

    def chain(self, leaf: x509.Certificate, at: datetime) -> Sequence[x509.Certificate]:
        """The certificates from `leaf`, which is first, to an anchor, all of them valid at a time.

        Raises:
            Refused: there is no such chain, or it is too long.
        """
        try:
            return self._verified(leaf, at, self._leaf_extensions)
        except (verification.VerificationError, ValueError) as error:
            raise Refused(RefusalCode.UNTRUSTED, self._why_untrusted(leaf, error)) from None

    def _verified(
        self, certificate: x509.Certificate, at: datetime, extensions: ExtensionPolicy
    ) -> Sequence[x509.Certificate]:
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(at)
            # The verifier counts intermediates only.
            .max_chain_depth(MAX_CHAIN_DEPTH - 1)
            .extension_policies(ca_policy=self._authority_extensions, ee_policy=extensions)
            .build_client_verifier()
        )
        return verifier.verify(certificate, self._intermediates).chain

    def problems(self, now: datetime) -> list[str]:
        """Why clients of an authority in the bundle would be refused, each with what mends it.

        They are no errors of the document, since clients of the other authorities are let in.
        """
        return [
            f"clientAuthorities: {certificate.subject.rfc4514_string()!r} {problem}"
            for certificate in self.certificates
            for problem in (
                *_unfitness(certificate),
                *self._position_problems(certificate, now),
                *_end_problems(certificate, now),
            )
        ]

    def life_left(self, now: datetime) -> float:
        """How much of its life the certificate has left that ends first, from 1 down to 0."""
        return min(
            life_left(each.not_valid_before_utc, each.not_valid_after_utc, now) for each in self.certificates
        )

    def _why_untrusted(self, leaf: x509.Certificate, error: Exception) -> str:
        if leaf.issuer not in self._names:
            return (
                f"its issuer {leaf.issuer.rfc4514_string()!r} is not in the bundle of the client authority; a"
                " load balancer hands on the client's certificate alone, so every authority above it must be"
                " there: add this one"
            )
        return _NO_CHAIN.format(depth=MAX_CHAIN_DEPTH, why=one_line(error)[:300])

    def _position_problems(self, certificate: x509.Certificate, now: datetime) -> list[str]:
        """What is wrong with an intermediate's place below the anchors."""
        issuer = certificate.issuer.rfc4514_string()
        if certificate in self._anchors:
            return []
        if not self._issuers_of(certificate):
            text = f"is not signed by the {issuer!r} of the bundle; add the certificate of that name that did"
            return [f"{text}, or remove it"]
        if not self._reaches_an_anchor([certificate]):
            text = f"is too far below a root: there may be {MAX_CHAIN_DEPTH} authorities above a client, and"
            return [f"{text} below each as many as its pathlen allows; have a higher authority issue it"]
        try:
            self._verified(certificate, now, ExtensionPolicy.permit_all())
        except (verification.VerificationError, ValueError) as error:
            why = one_line(error)[:300]
            return [f"cannot be verified by the authorities above it: {why}; have {issuer!r} issue it again"]
        return []

    def _issuers_of(self, certificate: x509.Certificate) -> list[x509.Certificate]:
        return [
            each
            for each in self.certificates
            if each.subject == certificate.issuer and _signed(each, certificate)
        ]

    def _reaches_an_anchor(self, path: Sequence[x509.Certificate]) -> bool:
        """Whether a path that begins with the issuer of clients can be continued to an anchor."""
        if path[-1] in self._anchors:
            return len(path) <= MAX_CHAIN_DEPTH
        return len(path) < MAX_CHAIN_DEPTH and any(
            self._reaches_an_anchor([*path, issuer])
            for issuer in self._issuers_of(path[-1])
            if issuer not in path and _allows_below(issuer, len(path))
        )


def _authority_extensions() -> ExtensionPolicy:
    """What an authority may look like: as RFC 5280 has it, and as openssl has always made it.

    RFC 5280 wants keyUsage and critical basicConstraints, and `openssl req -x509` writes neither unless it
    is told to. A keyUsage that is absent restricts nothing (4.2.1.3).
    """
    return (
        ExtensionPolicy.webpki_defaults_ca()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _must_be_an_authority)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _must_sign_certificates)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _must_serve_clients)
        .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.SubjectKeyIdentifier, Criticality.AGNOSTIC, None)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    )


def _leaf_extensions() -> ExtensionPolicy:
    # A leaf without an alternative name can be listed by its common name, and key identifiers only help to
    # find the issuer. Certificate policy and allow-list check the other extensions.
    return (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)
    )


def _must_be_an_authority(_policy: Policy, _of: x509.Certificate, value: x509.BasicConstraints) -> None:
    if not value.ca:
        raise ValueError("basicConstraints lacks CA:TRUE")


def _must_sign_certificates(_policy: Policy, _of: x509.Certificate, value: x509.KeyUsage | None) -> None:
    if value is not None and not value.key_cert_sign:
        raise ValueError("keyUsage lacks keyCertSign")


def _must_serve_clients(_policy: Policy, _of: x509.Certificate, value: x509.ExtendedKeyUsage | None) -> None:
    if value is not None and not any(each in value for each in _PURPOSES):
        raise ValueError("extendedKeyUsage lacks clientAuth")


def _require_authority(certificate: x509.Certificate) -> None:
    subject = certificate.subject.rfc4514_string()
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        constraints = None
    if certificate.version is not x509.Version.v3 or constraints is None or not constraints.ca:
        raise DocumentError(
            f"clientAuthorities: {subject!r} is not an authority: it needs X.509 version 3 and"
            f" basicConstraints with CA:TRUE; remove it, or {_AGAIN}"
        )
    weak = weak_key(certificate)
    if weak:
        raise DocumentError(f"clientAuthorities: {subject!r} is not accepted by load balancers: {weak}")


def _unfitness(certificate: x509.Certificate) -> list[str]:
    """Why an authority by itself cannot be above a client."""
    found: list[str] = []
    for extension in certificate.extensions:
        value = extension.value
        if extension.critical and extension.oid not in _UNDERSTOOD:
            found.append(
                f"has the critical extension {extension.oid.dotted_string}, which the gateway does not know;"
                f" leave it out, or make it not critical: {_AGAIN}"
            )
        elif isinstance(value, x509.KeyUsage) and not value.key_cert_sign:
            found.append(f"has a keyUsage without keyCertSign, so it signs no certificates; {_AGAIN}")
        elif isinstance(value, x509.ExtendedKeyUsage) and not any(each in value for each in _PURPOSES):
            found.append(
                "has an extendedKeyUsage without clientAuth, so it signs no clients; have it issued with"
                " clientAuth, or without extendedKeyUsage"
            )
        elif isinstance(value, x509.NameConstraints):
            found += _constraint_problems(value)
    return found


def _constraint_problems(constraints: x509.NameConstraints) -> list[str]:
    subtrees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    checked = (x509.DNSName, x509.IPAddress, x509.RFC822Name)
    kinds = sorted({type(each).__name__ for each in subtrees if not isinstance(each, checked)})
    if not kinds:
        return []
    text = f"has name constraints of the kind {', '.join(kinds)}, which the gateway cannot check; constrain"
    return [f"{text} it by DNS names, or not at all: the allow-list names each client"]


def _end_problems(certificate: x509.Certificate, now: datetime) -> list[str]:
    ended = certificate.not_valid_after_utc
    return [f"ended at {ended.isoformat()}; remove it, or renew it"] if ended <= now else []


def _signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _allows_below(authority: x509.Certificate, authorities: int) -> bool:
    """Whether so many authorities may be between this one and a client."""
    allowed = authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    return allowed is None or authorities <= allowed
