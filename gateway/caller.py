"""The caller of a request, as the application finds it in the ASGI scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, final

from cryptography import x509

from gateway.document import IdentityKind

SCOPE_KEY = "pgpasswordless.identity"


@final
@dataclass(frozen=True, kw_only=True)
class Caller:
    """A caller whose certificate is valid and on the allow-list.

    Attributes:
        role: database role that it acts as.
        identity_kind: which kind of name in the certificate is on the allow-list.
        identity_value: that name.
        subject: of the certificate, RFC 4514.
        serial: of the certificate, upper case hexadecimal of whole bytes.
        not_before: begin of the certificate's validity, UTC.
        not_after: its end.
    """

    role: str
    identity_kind: IdentityKind
    identity_value: str
    subject: str
    serial: str
    not_before: datetime
    not_after: datetime


def caller(scope: Mapping[str, Any]) -> Caller:
    """The caller of the request with this scope.

    Raises:
        LookupError: the request did not come through the gateway's middleware.
    """
    found: Caller | None = scope.get(SCOPE_KEY)
    if found is None:
        raise LookupError(
            f"the scope has no {SCOPE_KEY!r}: this request did not come through the gateway's middleware"
        )
    return found


def serial_text(certificate: x509.Certificate) -> str:
    """The serial number as load balancers write it: whole bytes, upper case hexadecimal."""
    digits = f"{certificate.serial_number:X}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"
