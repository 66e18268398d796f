"""Decides whose request it is, or why it is refused, by the document, the headers and the time alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from pydantic import ValidationError

from gateway.allow_list import AllowList
from gateway.caller import Caller, serial_text
from gateway.certificate_policy import UNREADABLE, check_certificate
from gateway.chain import ClientAuthority
from gateway.document import GatewayDocument
from gateway.errors import DocumentError
from gateway.forwarded_certificate import forwarded_certificate
from gateway.forwarded_headers import ForwardedHeaders, HeaderTable
from gateway.refusals import Refusal, RefusalCode, Refused
from gateway.revocation import RevocationLists

CLOCK_SKEW = timedelta(seconds=60)
"""How much earlier than `notBefore` a certificate is accepted, since an issuer's clock may be ahead of ours.

`notAfter` gets no such grace: a clock that is behind grants it anyway.
"""

MAX_KEPT = 4096
"""Most verdicts kept; only admitted callers are kept, so strangers cannot evict them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    caller: Caller
    since: float
    until: float


class Admission:
    """Decides on callers by one document; each new document gets a new one.

    Not shared between threads.
    """

    def __init__(self, document: GatewayDocument) -> None:
        """Parse the document's certificates and lists; a long list takes a while.

        Raises:
            DocumentError: they cannot be read, or do not belong together.
        """
        self.document = document
        try:
            self._headers = HeaderTable(document.header_suffixes)
        except ValueError as error:
            raise DocumentError(f"headerSuffixes: {error}") from None
        self._authority = ClientAuthority(document.client_authorities)
        self._revocation = RevocationLists(document.revocation_lists, self._authority.certificates)
        self._allow_list = AllowList(document.identities)
        self._kept: OrderedDict[ForwardedHeaders, _Kept] = OrderedDict()

    @classmethod
    def of(cls, text: str | bytes) -> Admission:
        """By a document as JSON.

        Raises:
            DocumentError: it is invalid; the message repeats none of its values.
        """
        try:
            return cls(GatewayDocument.model_validate_json(text))
        except ValidationError as error:
            # `str(error)` would repeat values, and one may be a header suffix.
            problems = "; ".join(
                f"{'.'.join(str(part) for part in each['loc']) or 'the document'}: {each['msg']}"
                for each in error.errors(include_input=False, include_url=False, include_context=False)
            )
            raise DocumentError(problems) from None
        except UNREADABLE as error:
            raise DocumentError(f"a certificate or a revocation list in it is malformed: {error}") from None

    def problems(self, now: datetime) -> list[str]:
        """Why clients whom the document lists would be refused, each with what mends it."""
        return [*self._authority.problems(now), *self._revocation.problems(now)]

    def list_life_left(self, now: datetime) -> float | None:
        """How much of its life the revocation list has left that ends first, from 1 down to 0."""
        return self._revocation.life_left(now)

    def authority_life_left(self, now: datetime) -> float:
        """How much of its life the authority's certificate has left that ends first, from 1 down to 0."""
        return self._authority.life_left(now)

    def verdict(self, headers: Iterable[tuple[bytes, bytes]], now: float) -> Caller | Refusal:
        """Decide on one request.

        Args:
            headers: all headers of the request, as in `scope["headers"]`.
            now: seconds since 1970.
        """
        return self.examine(headers, now)[0]

    def examine(
        self, headers: Iterable[tuple[bytes, bytes]], now: float
    ) -> tuple[Caller | Refusal, list[tuple[bytes, bytes]]]:
        """The verdict, and the headers without the forwarded ones; no headers for a refused request."""
        try:
            forwarded, others = self._headers.collect(headers)
        except Refused as refused:
            return Refusal(code=refused.code, detail=refused.detail), []
        decided = self._remembered(forwarded, now)
        return decided, [] if isinstance(decided, Refusal) else others

    def is_stale(self, now: float) -> bool:
        """Whether a revocation list has expired, so that its authority's clients are refused."""
        return self._revocation.stale(datetime.fromtimestamp(now, UTC))

    def _remembered(self, forwarded: ForwardedHeaders, now: float) -> Caller | Refusal:
        kept = self._kept.get(forwarded)
        if kept is not None:
            if kept.since <= now < kept.until:
                self._kept.move_to_end(forwarded)
                return kept.caller
            del self._kept[forwarded]
        decided = self._decide(forwarded, now)
        if isinstance(decided, Refusal):
            return decided
        self._kept[forwarded] = decided
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return decided.caller

    def _decide(self, forwarded: ForwardedHeaders, now: float) -> _Kept | Refusal:
        certificate: x509.Certificate | None = None
        try:
            certificate = forwarded_certificate(forwarded)
            return self._admit(certificate, datetime.fromtimestamp(now, UTC))
        except Refused as refused:
            return Refusal(
                code=refused.code,
                detail=refused.detail,
                serial=serial_text(certificate) if certificate else None,
                subject=certificate.subject.rfc4514_string() if certificate else None,
            )

    def _admit(self, certificate: x509.Certificate, now: datetime) -> _Kept:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now < begins - CLOCK_SKEW:
            raise Refused(RefusalCode.NOT_YET_VALID, f"the certificate is valid from {begins.isoformat()}")
        if now > ends:
            raise Refused(RefusalCode.EXPIRED, f"the certificate was valid until {ends.isoformat()}")
        check_certificate(certificate)
        chain = self._authority.chain(certificate, max(now, begins))
        list_ends = self._revocation.check(chain, now)
        name, role = self._allow_list.find(chain)
        until = [each.not_valid_after_utc for each in chain] + ([list_ends] if list_ends else [])
        return _Kept(
            caller=Caller(
                role=role,
                identity_kind=name.kind,
                identity_value=name.value,
                subject=certificate.subject.rfc4514_string(),
                serial=serial_text(certificate),
                not_before=begins,
                not_after=ends,
            ),
            since=(begins - CLOCK_SKEW).timestamp(),
            until=min(until).timestamp(),
        )


def trust_problems(bundle: str, lists: Iterable[str], now: datetime) -> list[str]:
    """Why a document with these authorities and revocation lists would be refused, or their clients.

    Each problem says what mends it.
    """
    try:
        authority = ClientAuthority(bundle)
        revocation = RevocationLists(lists, authority.certificates)
        return [*authority.problems(now), *revocation.problems(now)]
    except DocumentError as error:
        return [str(error)]
    except UNREADABLE as error:
        return [f"a certificate or a revocation list is malformed: {error}"]
