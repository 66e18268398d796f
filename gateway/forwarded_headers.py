"""Collects the five forwarded headers of a request, and only if nobody but the listener can have sent them.

Whether a load balancer removes headers of the same names that a client sent is documented nowhere, so
all headers of the request are searched for each name, also in another case and with `_` for `-`, which
servers and frameworks treat as the same name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.header_names import header_names
from gateway.refusals import RefusalCode, Refused

MAX_LEAF_BYTES = 16_384
"""Size that a load balancer allows for a single header."""
MAX_OTHER_BYTES = 1_024

_OURS = b"x-mtls-"
_ORIGINAL = b"x-amzn-mtls-"
# A prefix, not `ORIGINAL_NAMES`: a header that AWS adds later must not get through either.


class ForwardedHeaders(NamedTuple):
    """Raw values of the five headers."""

    leaf: bytes
    serial_number: bytes
    issuer: bytes
    subject: bytes
    validity: bytes


_FIELDS = ForwardedHeaders._fields
_LIMITS = tuple(MAX_LEAF_BYTES if field == "leaf" else MAX_OTHER_BYTES for field in _FIELDS)

# Requests repeat the same few names; these limits bound what a client with random names can fill.
_MAX_REMEMBERED_NAMES = 256
_MAX_REMEMBERED_BYTES = 64


class HeaderTable:
    """Finds the forwarded headers of the listeners with these suffixes; the suffixes are secret."""

    def __init__(self, suffixes: Iterable[str]) -> None:
        """Compute the names.

        Raises:
            ValueError: a suffix has another form.
        """
        self._places: dict[bytes, tuple[int, int]] = {}
        for generation, suffix in enumerate(suffixes):
            names = header_names(suffix)
            for place, field in enumerate(_FIELDS):
                self._places[getattr(names, field).encode()] = (generation, place)
        self._unrelated: set[bytes] = set()

    def collect(
        self, headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[ForwardedHeaders, list[tuple[bytes, bytes]]]:
        """The five values of one request, and its other headers.

        Args:
            headers: all headers of the request, as ASGI's `scope["headers"]` has them.

        Raises:
            Refused: one is missing, occurs twice or is too long, they are of different suffixes, or a
                name is one that only somebody other than the listener can have sent.
        """
        found: list[bytes | None] = [None] * len(_FIELDS)
        generations = set[int]()
        others = []
        unrelated = self._unrelated
        for header in headers:
            if header[0] in unrelated:
                others.append(header)
                continue
            name = _one_spelling(header[0])
            if not name.startswith((_OURS, _ORIGINAL)):
                others.append(header)
                if len(unrelated) < _MAX_REMEMBERED_NAMES and len(name) <= _MAX_REMEMBERED_BYTES:
                    unrelated.add(header[0])
                continue
            generation, field = self._place(name)
            value = header[1]
            if found[field] is not None:
                raise Refused(RefusalCode.DUPLICATED_HEADER, f"the header of {_FIELDS[field]} occurs twice")
            if len(value) > _LIMITS[field]:
                raise Refused(
                    RefusalCode.OVERSIZED_HEADER,
                    f"the header of {_FIELDS[field]} has {len(value)} bytes; {_LIMITS[field]} are allowed",
                )
            found[field] = value
            generations.add(generation)
        values = [value for value in found if value is not None]
        if len(values) < len(_FIELDS):
            missing = ", ".join(field for field, value in zip(_FIELDS, found, strict=True) if value is None)
            raise Refused(RefusalCode.MISSING_HEADER, f"headers are missing: {missing}")
        if len(generations) > 1:
            raise Refused(RefusalCode.MIXED_SUFFIXES, "the headers are of different suffixes")
        return ForwardedHeaders._make(values), others

    def _place(self, name: bytes) -> tuple[int, int]:
        if name.startswith(_ORIGINAL):
            raise Refused(RefusalCode.ORIGINAL_HEADER, "a header has a name that the listener renames")
        place = self._places.get(name)
        if place is None:
            raise Refused(RefusalCode.UNKNOWN_SUFFIX, "a header has a suffix that no listener has")
        return place


def _one_spelling(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")
