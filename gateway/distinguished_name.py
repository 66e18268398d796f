"""Distinguished names as text, in whichever spelling of RFC 4514 a load balancer or a library chooses.

A type may be a short name in any case, a number, or a number after `OID.`; a value may be text with escapes,
quoted as RFC 2253 still read it, or `#` and the hexadecimal DER of its string. Blanks around separators mean
nothing, and the order within a part of several values (`+`) neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import NameOID

# RFC 4514's own, and what OpenSSL, Java and Windows write besides; in lower case.
_OIDS = {
    "cn": NameOID.COMMON_NAME,
    "l": NameOID.LOCALITY_NAME,
    "st": NameOID.STATE_OR_PROVINCE_NAME,
    "s": NameOID.STATE_OR_PROVINCE_NAME,
    "o": NameOID.ORGANIZATION_NAME,
    "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "c": NameOID.COUNTRY_NAME,
    "street": NameOID.STREET_ADDRESS,
    "dc": NameOID.DOMAIN_COMPONENT,
    "uid": NameOID.USER_ID,
    "e": NameOID.EMAIL_ADDRESS,
    "emailaddress": NameOID.EMAIL_ADDRESS,
    "serialnumber": NameOID.SERIAL_NUMBER,
    "sn": NameOID.SURNAME,
    "surname": NameOID.SURNAME,
    "gn": NameOID.GIVEN_NAME,
    "givenname": NameOID.GIVEN_NAME,
    "initials": NameOID.INITIALS,
    "t": NameOID.TITLE,
    "title": NameOID.TITLE,
    "dnq": NameOID.DN_QUALIFIER,
    "dnqualifier": NameOID.DN_QUALIFIER,
    "pseudonym": NameOID.PSEUDONYM,
    "generation": NameOID.GENERATION_QUALIFIER,
    "generationqualifier": NameOID.GENERATION_QUALIFIER,
    "postalcode": NameOID.POSTAL_CODE,
    "businesscategory": NameOID.BUSINESS_CATEGORY,
    "organizationidentifier": NameOID.ORGANIZATION_IDENTIFIER,
}
# ASN.1's string types by their tag; any other value is compared as bytes.
_ENCODINGS = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_PAIR = r'\\(?:[\\"+,;<>#= ]|[0-9A-Fa-f]{2})'
_ATTRIBUTE = re.compile(
    r" *(?P<type>[A-Za-z][A-Za-z0-9-]*|(?:OID\.|oid\.)?[0-9]+(?:\.[0-9]+)+) *= *"
    rf'(?:#(?P<hex>(?:[0-9A-Fa-f]{{2}})+)|"(?P<quoted>(?:[^"\\\0]|{_PAIR})*)"|(?P<plain>(?!#)(?:[^"\\+,;<>\0]|{_PAIR})*))'
    r" *(?P<end>[,;+]|\Z)"
)
_ESCAPED = re.compile(rb"\\(?:([0-9A-Fa-f]{2})|(.))", re.DOTALL)

Parts = list[frozenset[tuple[str, str | bytes]]]
"""The parts of a name, the most specific first: each is a set of types, as numbers, with values."""


def parts_of(name: x509.Name) -> Parts:
    """The parts of a certificate's name."""
    return [frozenset((each.oid.dotted_string, each.value) for each in part) for part in reversed(name.rdns)]


def parsed(text: str) -> Parts:
    """The parts of a name that is given as text.

    Raises:
        ValueError: it is no name.
    """
    if not text.strip(" "):
        return []
    parts: Parts = []
    part: set[tuple[str, str | bytes]] = set()
    for kind, value, end in _attributes(text):
        part.add((kind, value))
        if end != "+":
            parts.append(frozenset(part))
            part = set()
    return parts


def _attributes(text: str) -> Iterator[tuple[str, str | bytes, str]]:
    position, end = 0, ","
    while end:
        found = _ATTRIBUTE.match(text, position)
        if found is None:
            raise ValueError("no type and value")
        position, end = found.end(), found["end"]
        kind = found["type"].lower()
        oid = kind.removeprefix("oid.") if kind.removeprefix("oid.")[0].isdigit() else _oid(kind)
        if found["hex"] is not None:
            yield oid, _decoded(bytes.fromhex(found["hex"])), end
        elif found["quoted"] is not None:
            yield oid, _unescaped(found["quoted"]), end
        else:
            yield oid, _unescaped(_without_final_blanks(found["plain"])), end


def _oid(kind: str) -> str:
    if kind not in _OIDS:
        raise ValueError("an unknown type")
    return _OIDS[kind].dotted_string


def _without_final_blanks(value: str) -> str:
    kept = value.rstrip(" ")
    return f"{kept} " if len(kept) < len(value) and _ends_in_escape(kept) else kept


def _ends_in_escape(value: str) -> bool:
    return (len(value) - len(value.rstrip("\\"))) % 2 == 1


def _unescaped(value: str) -> str:
    plain = _ESCAPED.sub(
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], value.encode()
    )
    return plain.decode()


def _decoded(der: bytes) -> str | bytes:
    """The text of an ASN.1 string of at most 127 bytes, or of 255 in the long form; else its content."""
    header = 3 if der[1:2] == b"\x81" else 2
    content = der[header:]
    if len(der) < 2 or der[header - 1] != len(content) or (header == 3 and len(content) < 128):
        raise ValueError("no DER")
    encoding = _ENCODINGS.get(der[0])
    return content.decode(encoding) if encoding else content
