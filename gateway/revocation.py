"""Certificate revocation lists of the client authority."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import CRLEntryExtensionOID

from gateway.certificate_policy import UNREADABLE
from gateway.errors import DocumentError
from gateway.refusals import RefusalCode, Refused
from gateway.validity import life_left

_AGAIN = "publish a list that the authority signed, whole and not partitioned"
_WITHOUT_CRITICAL = (
    "publish a whole list without them: with openssl ca -gencrl no issuingDistributionPoint in the"
    " crl_extensions; for ACM PCA aws acm-pca update-certificate-authority with OmitExtension=true in the"
    " CrlDistributionPointExtensionConfiguration, and no partitions"
)


@dataclass(frozen=True, kw_only=True)
class _List:
    issuer: str
    this_update: datetime
    next_update: datetime
    revoked: dict[int, str] = field(repr=False)


class RevocationLists:
    """The lists of a document, each signed by an authority of the same document.

    An authority without a list revokes nothing. If it has one, its certificates are accepted only until
    its newest list expires.
    """

    def __init__(self, lists: Iterable[str], authorities: Sequence[x509.Certificate]) -> None:
        """Read and verify PEM lists.

        Raises:
            DocumentError: a list cannot be read, has no next update, is partial, or is not signed by an
                authority of the document.
        """
        self._by_issuer: dict[bytes, list[_List]] = {}
        for number, pem in enumerate(lists, 1):
            where = f"revocationLists: list {number}"
            try:
                found = x509.load_pem_x509_crl(pem.encode())
                issuer = _signer(found, authorities)
                if issuer is None:
                    raise DocumentError(
                        f"{where} is by {found.issuer.rfc4514_string()!r}, and no authority of"
                        f" clientAuthorities signed it; {_AGAIN}"
                    )
                if not _may_sign_lists(issuer):
                    raise DocumentError(
                        f"{where} is by {found.issuer.rfc4514_string()!r}, whose keyUsage lacks cRLSign;"
                        " issue that authority again with the same subject and key and"
                        " keyUsage=critical,keyCertSign,cRLSign"
                    )
                self._by_issuer.setdefault(_key(issuer), []).append(_read(found, where))
            except UNREADABLE as error:
                raise DocumentError(
                    f"{where} cannot be read as a PEM revocation list: {error}; {_AGAIN}"
                ) from None

    def check(self, chain: Sequence[x509.Certificate], now: datetime) -> datetime | None:
        """Check every certificate of a chain against its issuer's lists.

        Args:
            chain: from the leaf to an anchor.
            now: the time, UTC.

        Returns:
            When the first of the lists used expires; None if none was used.

        Raises:
            Refused: a certificate is revoked, or the newest list of an authority has expired.
        """
        ends = []
        for certificate, issuer in pairwise(chain):
            lists = self._by_issuer.get(_key(issuer))
            if not lists:
                continue
            for each in lists:
                reason = each.revoked.get(certificate.serial_number)
                if reason is not None:
                    raise Refused(
                        RefusalCode.REVOKED,
                        f"{certificate.subject.rfc4514_string()!r} was revoked by its issuer: {reason}",
                    )
            newest = max(lists, key=lambda each: each.this_update)
            if newest.next_update <= now:
                raise Refused(
                    RefusalCode.STALE_REVOCATION_LIST,
                    f"the revocation list of {issuer.subject.rfc4514_string()!r} ended at"
                    f" {newest.next_update.isoformat()}; publish a new one",
                )
            ends.append(newest.next_update)
        return min(ends, default=None)

    def stale(self, now: datetime) -> bool:
        """Whether an authority's newest list has expired, so that all its clients are refused."""
        return bool(self.problems(now))

    def problems(self, now: datetime) -> list[str]:
        """The authorities whose newest list has expired, so that all their clients are refused."""
        return [
            f"revocationLists: the newest list of {each.issuer!r} ended at {each.next_update.isoformat()}, so"
            " that every client of this authority would be refused; have it publish a new one"
            for each in self._newest()
            if each.next_update <= now
        ]

    def life_left(self, now: datetime) -> float | None:
        """How much of its life the list has left that ends first, from 1 down to 0; None without lists."""
        return min(
            (life_left(each.this_update, each.next_update, now) for each in self._newest()),
            default=None,
        )

    def _newest(self) -> list[_List]:
        return [max(lists, key=lambda each: each.this_update) for lists in self._by_issuer.values()]


def _key(certificate: x509.Certificate) -> bytes:
    # Generations of an authority may share a name; they never share a key.
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _signer(
    found: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    for authority in authorities:
        if authority.subject != found.issuer:
            continue
        key = authority.public_key()
        try:
            if found.is_signature_valid(key):  # type: ignore[arg-type]
                return authority
        except TypeError:
            continue
    return None


def _may_sign_lists(authority: x509.Certificate) -> bool:
    # A keyUsage that is absent restricts nothing (RFC 5280, 4.2.1.3).
    try:
        return authority.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _read(found: x509.CertificateRevocationList, where: str) -> _List:
    if found.next_update_utc is None:
        raise DocumentError(f"{where} has no next update, so nobody knows when it expires; {_AGAIN}")
    critical = [each.oid.dotted_string for each in found.extensions if each.critical]
    if critical:
        raise DocumentError(
            f"{where} has critical extensions ({', '.join(critical)}), as partial and indirect lists have;"
            f" {_WITHOUT_CRITICAL}"
        )
    return _List(
        issuer=found.issuer.rfc4514_string(),
        this_update=found.last_update_utc,
        next_update=found.next_update_utc,
        revoked={entry.serial_number: _reason(entry) for entry in found},
    )


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        extension = entry.extensions.get_extension_for_oid(CRLEntryExtensionOID.CRL_REASON).value
    except x509.ExtensionNotFound:
        return "unspecified"
    return extension.reason.value if isinstance(extension, x509.CRLReason) else "unspecified"
