"""Patterns of texts, and the search for a text that matches some patterns and others not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple


class Token(NamedTuple):
    """A part of a pattern: one of `chars` (any where empty) that is not in `but`; any number where `many`."""

    chars: str
    but: str = ""
    many: bool = False

    def takes(self, char: str) -> bool:
        """Whether a character fits."""
        return (not self.chars or char in self.chars) and char not in self.but


Pattern = tuple[Token, ...]

ANY_TEXT = Token("", many=True)
_OTHER = "\ue003"  # any character that no pattern names
_MOST_STATES = 50_000


def literal(text: str) -> Pattern:
    """The pattern of one text."""
    return tuple(Token(char) for char in text)


@lru_cache(maxsize=65536)
def _closed(pattern: Pattern, positions: frozenset[int]) -> frozenset[int]:
    found = set(positions)
    pending = list(positions)
    while pending:
        at = pending.pop()
        if at < len(pattern) and pattern[at].many and at + 1 not in found:
            found.add(at + 1)
            pending.append(at + 1)
    return frozenset(found)


def _after(pattern: Pattern, positions: frozenset[int], char: str) -> frozenset[int]:
    reached = frozenset(
        at if pattern[at].many else at + 1
        for at in positions
        if at < len(pattern) and pattern[at].takes(char)
    )
    return _closed(pattern, reached)


@lru_cache(maxsize=16384)
def has_text(required: tuple[tuple[Pattern, ...], ...], forbidden: tuple[Pattern, ...] = ()) -> bool:
    """Whether some text matches one pattern of each of `required` and none of `forbidden`.

    A search over the positions that the patterns can be at, character by character. Where it becomes too
    large the answer is yes, which for conditions is the careful one.
    """
    patterns = (*(each for group in required for each in group), *forbidden)
    groups: list[range] = []
    for group in required:
        start = groups[-1].stop if groups else 0
        groups.append(range(start, start + len(group)))
    first_forbidden = sum(map(len, required))
    first = tuple(_closed(each, frozenset({0})) for each in patterns)
    seen = {first}
    pending = [first]
    while pending:
        state = pending.pop()
        ended = [len(pattern) in positions for pattern, positions in zip(patterns, state, strict=True)]
        if all(any(ended[each] for each in group) for group in groups) and not any(ended[first_forbidden:]):
            return True
        for char in _next_chars(patterns, state):
            following = tuple(
                _after(pattern, positions, char) for pattern, positions in zip(patterns, state, strict=True)
            )
            alive = all(any(following[each] for each in group) for group in groups)
            if alive and following not in seen:
                seen.add(following)
                pending.append(following)
        if len(seen) > _MOST_STATES:
            return True
    return False


def _next_chars(patterns: Sequence[Pattern], state: Sequence[frozenset[int]]) -> Iterable[str]:
    live = [
        pattern[at]
        for pattern, positions in zip(patterns, state, strict=True)
        for at in positions
        if at < len(pattern)
    ]
    return dict.fromkeys((_OTHER, *(char for token in live for char in token.chars + token.but)))
