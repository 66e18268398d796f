"""Fingerprints of OpenPGP keys, so that a pinned key needs no gpg on the machine (RFC 4880, 12.2)."""

from __future__ import annotations

import base64
import hashlib

_PUBLIC_KEY = 6
_ARMOR_END = "-----END"


def _dearmored(text: str) -> bytes:
    body = text.split("-----BEGIN PGP PUBLIC KEY BLOCK-----", 1)[-1].split(_ARMOR_END, 1)[0]
    _, _, lines = body.partition("\n\n")
    return base64.b64decode("".join(line for line in lines.split("\n") if not line.startswith("=")))


def _old_length(data: bytes, at: int, tag: int) -> tuple[int, int]:
    size = 1 << (tag & 3)
    return int.from_bytes(data[at : at + size], "big"), at + size


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return ((first - 192) << 8) + data[at + 1] + 192, at + 2
    return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5


def primary_fingerprints(armored: str) -> list[str]:
    """Fingerprints (40 upper-case hexadecimal digits) of all version 4 primary keys in an armored text.

    Raises:
        ValueError: it is no such text.
    """
    fingerprints: list[str] = []
    try:
        data = _dearmored(armored)
        at = 0
        while at < len(data):
            tag = data[at]
            if not tag & 0x80:
                raise ValueError("no OpenPGP packet where one should begin")
            new_format = bool(tag & 0x40)
            kind = tag & 0x3F if new_format else (tag >> 2) & 0x0F
            length, start = _new_length(data, at + 1) if new_format else _old_length(data, at + 1, tag)
            at = start + length
            if at > len(data):
                raise ValueError("the OpenPGP text is cut off")
            if kind == _PUBLIC_KEY:
                packet = data[start:at]
                header = b"\x99" + len(packet).to_bytes(2, "big")
                # The format of version 4 keys prescribes SHA-1.
                fingerprint = hashlib.sha1(header + packet, usedforsecurity=False)
                fingerprints.append(fingerprint.hexdigest().upper())
    except (IndexError, OverflowError) as error:
        raise ValueError("the OpenPGP text is cut off") from error
    return fingerprints
