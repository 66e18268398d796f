"""PEM text as a load balancer's trust store takes it. Pure.

A trust store refuses blank lines, text beside the blocks as `openssl x509 -text` writes it, and
anything but certificates (Elastic Load Balancing, "Mutual authentication with TLS").
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

_BLOCK = re.compile(r"-----BEGIN (?P<label>[A-Z0-9 ]+)-----(?P<body>.*?)-----END (?P=label)-----", re.DOTALL)
_LINE = 64  # characters; RFC 7468


def certificates(text: str) -> tuple[str, ...]:
    """Each certificate of a PEM text, in its order, once.

    Raises:
        ValueError: There is none, another kind of block, or one that is not base64; the text names the
            block and never shows what is in it.
    """
    return _blocks(text, "CERTIFICATE", "a certificate")


def certificate_bundle(text: str) -> str:
    """The certificates alone, one after another, without blank lines.

    Raises:
        ValueError: As for `certificates`.
    """
    return "".join(certificates(text))


def revocation_list(text: str) -> str:
    """The one certificate revocation list of a PEM text.

    Raises:
        ValueError: There is none or more than one, another kind of block, or one that is not base64.
    """
    found = _blocks(text, "X509 CRL", "a certificate revocation list")
    if len(found) != 1:
        raise ValueError(f"holds {len(found)} certificate revocation lists; put each into its own file")
    return found[0]


def _blocks(text: str, label: str, what: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for number, block in enumerate(_BLOCK.finditer(text), start=1):
        if block["label"] != label:
            raise ValueError(f"block {number} is {block['label']!r}; each must be {label!r}, {what}")
        found[_block(label, block["body"], number)] = None
    if not found:
        raise ValueError(f"holds no '-----BEGIN {label}-----'; it must hold {what} in PEM")
    return tuple(found)


def _block(label: str, body: str, number: int) -> str:
    try:
        content = base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        raise ValueError(f"block {number}, {label!r}, is not base64") from None
    encoded = base64.b64encode(content).decode()
    lines: Sequence[str] = [encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
