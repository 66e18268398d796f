"""What a file that should be PEM holds, in words: for messages, which must not quote it. Pure."""

from __future__ import annotations

import re
from itertools import groupby

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)(-----END \1-----|(?=-----BEGIN )|\Z)", re.DOTALL)
_WORDS = {
    "CERTIFICATE": "certificate",
    "X509 CRL": "revocation list",
    "CERTIFICATE REQUEST": "certificate request",
    "NEW CERTIFICATE REQUEST": "certificate request",
    "PUBLIC KEY": "public key",
    "ENCRYPTED PRIVATE KEY": "encrypted private key",
    "PKCS7": "PKCS#7 bundle",
    "EC PARAMETERS": "set of curve parameters",
}


def held(content: str | bytes) -> str:
    """What a text holds, such as `a private key, then 2 certificates`; never a part of it."""
    data = content.encode() if isinstance(content, str) else content
    blocks = [_word(*each) for each in _BLOCK.findall(data)]
    if blocks:
        return ", then ".join(_counted(word, len(list(same))) for word, same in groupby(blocks))
    if not data.strip():
        return "nothing"
    if data[:1] == b"\x30":
        return "binary data, such as DER or PKCS#12 (for DER: openssl x509 -inform DER -outform PEM)"
    return "no PEM block (-----BEGIN …-----)"


def _word(label: bytes, body: bytes, end: bytes) -> str:
    name = label.decode()
    word = _WORDS.get(name, name.lower() if not name.endswith("PRIVATE KEY") else "private key")
    if b"Proc-Type: 4,ENCRYPTED" in body:
        word = "encrypted private key"
    return word if end else f"{word} without its END"


def _counted(word: str, count: int) -> str:
    if count > 1:
        return f"{count} {word}s"
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"
