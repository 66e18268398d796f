"""Whether a request could be read in two ways, and what a load balancer then does with it.

Source: Elastic Load Balancing, "Desync mitigation mode", after http_desync_guardian. What breaks the grammar
of HTTP does not get here: h11 refuses it, which is `Severe` in those terms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from emulator.elb.model import DesyncMode

Classification: TypeAlias = Literal["Compliant", "Acceptable", "Ambiguous", "Severe"]
Handling: TypeAlias = Literal["route", "route and close", "block"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a request is classified.

    Attributes:
        reason: `-` for a compliant one.
    """

    classification: Classification
    reason: str = "-"


COMPLIANT = Verdict(classification="Compliant")


def classify(method: bytes, version: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Verdict:
    """Classifies a request by how its end is marked.

    Args:
        version: `1.0` or `1.1`.
        headers: Names in lower case.
    """
    given = list(headers)
    names = [name for name, _ in given]
    length = next((value for name, value in given if name == b"content-length"), None)
    transfer = b"transfer-encoding" in names
    without_body = method in {b"GET", b"HEAD"}
    findings: tuple[tuple[bool, Classification, str], ...] = (
        (any(_normalised(name) for name in names), "Ambiguous", "SuspiciousHeader"),
        (transfer and length is not None, "Ambiguous", "BothTeClPresent"),
        (transfer and (without_body or version == b"1.0"), "Ambiguous", "UndefinedTransferEncodingSemantics"),
        (without_body and bool(int(length or b"0")), "Ambiguous", "UndefinedContentLengthSemantics"),
        (without_body and length is not None, "Acceptable", "GetHeadZeroContentLength"),
        (any(not value.isascii() for _, value in given), "Acceptable", "NonCompliantHeader"),
    )
    return next(
        (Verdict(classification=kind, reason=reason) for found, kind, reason in findings if found), COMPLIANT
    )


def handling(verdict: Verdict, mode: DesyncMode) -> Handling:
    """What a mode does with a request of a classification."""
    if verdict.classification == "Compliant" or mode == "monitor":
        return "route"
    if mode == "strictest" or verdict.classification == "Severe":
        return "block"
    return "route" if verdict.classification == "Acceptable" else "route and close"


def _normalised(name: bytes) -> bool:
    return name not in _FRAMING and name.replace(b"_", b"-") in _FRAMING


_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
