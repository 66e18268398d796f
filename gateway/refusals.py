"""Why a caller is refused: a code for the log; the caller sees only 401 or 403."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, final


class RefusalCode(StrEnum):
    """What is wrong with a request's certificate; the values appear in the log and in metrics."""

    ORIGINAL_HEADER = "original-header"
    UNKNOWN_SUFFIX = "unknown-suffix"
    MIXED_SUFFIXES = "mixed-suffixes"
    MISSING_HEADER = "missing-header"
    DUPLICATED_HEADER = "duplicated-header"
    OVERSIZED_HEADER = "oversized-header"
    NOT_ASCII = "not-ascii"
    NOT_CANONICAL = "not-canonical"
    MALFORMED_CERTIFICATE = "malformed-certificate"
    MALFORMED_HEADER = "malformed-header"
    SERIAL_MISMATCH = "serial-mismatch"
    SUBJECT_MISMATCH = "subject-mismatch"
    ISSUER_MISMATCH = "issuer-mismatch"
    VALIDITY_MISMATCH = "validity-mismatch"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    NOT_VERSION_3 = "not-version-3"
    WEAK_KEY = "weak-key"
    WEAK_SIGNATURE = "weak-signature"
    IS_AUTHORITY = "is-authority"
    WRONG_KEY_USAGE = "wrong-key-usage"
    NOT_FOR_CLIENTS = "not-for-clients"
    UNTRUSTED = "untrusted"
    REVOKED = "revoked"
    STALE_REVOCATION_LIST = "stale-revocation-list"
    UNMAPPED = "unmapped"
    AMBIGUOUS = "ambiguous"

    @property
    def status(self) -> Literal[401, 403]:
        """403 for a valid certificate without a role here, 401 for everything else."""
        return 403 if self in _FORBIDDEN else 401


_FORBIDDEN = frozenset({RefusalCode.UNMAPPED, RefusalCode.AMBIGUOUS})


@final
@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One refusal, for the log.

    Attributes:
        code: what is wrong.
        detail: the same as a sentence; its values come from the certificate and are public.
        serial: of the certificate, upper case hexadecimal; None when there is none that can be read.
        subject: of the certificate, RFC 4514.
    """

    code: RefusalCode
    detail: str
    serial: str | None = None
    subject: str | None = None


class Refused(Exception):
    """A request is refused; `Admission.verdict` turns this into a `Refusal`."""

    def __init__(self, code: RefusalCode, detail: str) -> None:
        """Keep the code and the log's detail."""
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
