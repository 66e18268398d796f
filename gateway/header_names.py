"""Names of the headers in which a load balancer forwards a client's certificate.

An Application Load Balancer in verify mode adds five headers, and each can be renamed per listener
(Elastic Load Balancing, "HTTP header modification"). Whether it removes headers of these names that
a client sent is documented nowhere, so ours end in a suffix that clients cannot guess, and the
original names are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

SUFFIX_LENGTH = 24
"""Characters of a suffix: 96 bits in hexadecimal. The longest name then has 40, which ALB allows."""

ORIGINAL_NAMES = (
    "x-amzn-mtls-clientcert",
    "x-amzn-mtls-clientcert-leaf",
    "x-amzn-mtls-clientcert-serial-number",
    "x-amzn-mtls-clientcert-issuer",
    "x-amzn-mtls-clientcert-subject",
    "x-amzn-mtls-clientcert-validity",
)
"""The headers' default names, and the one of passthrough mode; lower case."""

_SUFFIX = re.compile(rf"[0-9a-f]{{{SUFFIX_LENGTH}}}")


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class HeaderNames:
    """The five headers of verify mode, as one listener renames them; the names are secret.

    Attributes:
        leaf: URL-encoded PEM of the client's certificate.
        serial_number: Hexadecimal serial number.
        issuer: Issuer, RFC 2253.
        subject: Subject, RFC 2253.
        validity: `NotBefore=…;NotAfter=…`, RFC 3339 in UTC.
    """

    leaf: str
    serial_number: str
    issuer: str
    subject: str
    validity: str


def header_names(suffix: str) -> HeaderNames:
    """The names that end in a suffix, in lower case.

    Args:
        suffix: `SUFFIX_LENGTH` hexadecimal digits, a secret.

    Raises:
        ValueError: the suffix has another form; the text does not repeat it.
    """
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"a header suffix must be {SUFFIX_LENGTH} lower case hexadecimal digits")
    return HeaderNames(
        leaf=f"x-mtls-leaf-{suffix}",
        serial_number=f"x-mtls-serial-{suffix}",
        issuer=f"x-mtls-issuer-{suffix}",
        subject=f"x-mtls-subject-{suffix}",
        validity=f"x-mtls-validity-{suffix}",
    )
