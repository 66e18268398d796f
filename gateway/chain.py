"""The document's client authority, and the chain from a certificate to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

from gateway.certificate_policy import weak_key
from gateway.errors import DocumentError
from gateway.refusals import RefusalCode, Refused

MAX_CHAIN_DEPTH = 4
"""Authorities above a client's certificate, the root among them (ALB guide, quotas)."""

_NO_CHAIN = "no chain of at most {depth} authorities leads from the certificate to a trusted one: {why}"


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
        names = {certificate.subject for certificate in self.certificates}
        anchors = [
            certificate
            for certificate in self.certificates
            if certificate.issuer == certificate.subject or certificate.issuer not in names
        ]
        if not anchors:
            raise DocumentError("clientAuthorities holds no anchor: the issuers form a circle")
        self._store = Store(anchors)
        self._intermediates = [each for each in self.certificates if each not in anchors]
        self._extensions = _leaf_extensions()

    def chain(self, leaf: x509.Certificate, at: datetime) -> Sequence[x509.Certificate]:
        """The certificates from `leaf`, which is first, to an anchor, all of them valid at a time.

        Raises:
            Refused: there is no such chain, or it is too long.
        """
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(at)
            # The verifier counts intermediates only.
            .max_chain_depth(MAX_CHAIN_DEPTH - 1)
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=self._extensions)
            .build_client_verifier()
        )
        try:
            return verifier.verify(leaf, self._intermediates).chain
        except (verification.VerificationError, ValueError) as error:
            why = _NO_CHAIN.format(depth=MAX_CHAIN_DEPTH, why=" ".join(str(error).split())[:300])
            raise Refused(RefusalCode.UNTRUSTED, why) from None


def _leaf_extensions() -> ExtensionPolicy:
    # A leaf without an alternative name can be listed by its common name; certificate policy and allow-list
    # check the other extensions.
    return ExtensionPolicy.webpki_defaults_ee().may_be_present(
        x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
    )


def _require_authority(certificate: x509.Certificate) -> None:
    subject = certificate.subject.rfc4514_string()
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        constraints = None
    if certificate.version is not x509.Version.v3 or constraints is None or not constraints.ca:
        raise DocumentError(
            f"clientAuthorities: {subject!r} is not an authority: it needs X.509 version 3 and"
            " basicConstraints with CA:TRUE; remove it, or issue it as an authority"
        )
    weak = weak_key(certificate)
    if weak:
        raise DocumentError(f"clientAuthorities: {subject!r} is not accepted by load balancers: {weak}")
