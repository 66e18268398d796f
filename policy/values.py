"""Property values as the engine sends them: known, absent, unknown until the update, or secret.

The SDK's own decoding raises at the first unknown value, which turns a mandatory rule into an advisory line,
and it unwraps secrets, which a message could then print. Here an unknown value raises `UndecidedError` only
where a rule reads it, and a secret stays marked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pulumi.runtime import rpc
from pulumi_policy import proxy

_SIGNATURE = rpc._special_sig_key
_SECRET = rpc._special_secret_sig
_OUTPUT = rpc._special_output_value_sig
_UNKNOWN = frozenset(
    {
        proxy.UNKNOWN_BOOLEAN_VALUE,
        proxy.UNKNOWN_NUMBER_VALUE,
        proxy.UNKNOWN_STRING_VALUE,
        proxy.UNKNOWN_ARRAY_VALUE,
        proxy.UNKNOWN_ASSET_VALUE,
        proxy.UNKNOWN_ARCHIVE_VALUE,
        proxy.UNKNOWN_OBJECT_VALUE,
    }
)
_LONGEST_SHOWN = 120
_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""A value that is known only once resources exist."""


@dataclass(frozen=True)
class Secret:
    """A value that the program marked as a secret."""

    value: Any = field(repr=False)


class Placed(dict[str, Any]):
    """A map whose values were given under other names, such as those of `aws-native`.

    Attributes:
        places: Where each value was given, by key.
        rest: What stands for every other key: a map that is not known yet.
    """

    def __init__(self) -> None:
        """Make an empty map."""
        super().__init__()
        self.places: dict[str, str] = {}
        self.rest: Value | None = None

    def value(self, key: str) -> Value:
        """The value of a key; absent where neither it nor the rest is given."""
        if key not in self and self.rest is not None:
            return self.rest
        return Value.of(self.places.get(key, key), self.get(key))


class UndecidedError(Exception):
    """A rule cannot be decided yet; the text says why.

    Attributes:
        waits_for: The property, or the properties, whose value is not known; empty for another reason.
    """

    def __init__(self, why: str = "", *, waits_for: str = "") -> None:
        super().__init__(why or f"{waits_for} is not known before the update")
        self.waits_for = waits_for


def decoded(sent: Any) -> Any:
    """A value of a request (as JSON), with `UNKNOWN` and `Secret` in it. Whole floats become integers."""
    if isinstance(sent, str):
        return UNKNOWN if sent in _UNKNOWN else sent
    if isinstance(sent, float) and sent.is_integer() and math.isfinite(sent):
        return int(sent)
    if isinstance(sent, list):
        return [decoded(each) for each in sent]
    return _decoded_map(sent) if isinstance(sent, Mapping) else sent


def _decoded_map(sent: Mapping[str, Any]) -> Any:
    signature = sent.get(_SIGNATURE)
    if signature == _SECRET:
        return Secret(decoded(sent.get("value")))
    if signature == _OUTPUT:
        value = decoded(sent["value"]) if "value" in sent else UNKNOWN
        return Secret(value) if sent.get("secret") else value
    return {key: decoded(each) for key, each in sent.items()}


@dataclass(frozen=True, kw_only=True)
class TextPlace:
    """A place in a text that a property holds. A message names it and shows nothing of the text.

    Attributes:
        path: The property, such as `userData`.
        file: Name of the file that the text is for, where that is known.
        line: Line in that file, else in the text, from 1; 0 for the whole.
        column: Column in that line, from 1; 0 for the whole line.
    """

    path: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`userData (/etc/postgresql/17/main/pg_hba.conf), line 7`."""
        place = f"{self.path} ({self.file})" if self.file else self.path
        place += f", line {self.line}" if self.line else ""
        return f"{place}, column {self.column}" if self.column else place


@dataclass(frozen=True, kw_only=True)
class Value:
    """One property, or a value inside of it.

    Attributes:
        path: Its path in the resource, such as `parameters[3].value`.
        raw: The value; None where it is absent.
        secret: Whether it, or a value around it, is a secret.
    """

    path: str
    raw: Any = field(repr=False)
    secret: bool = False

    @classmethod
    def of(cls, path: str, raw: Any, *, secret: bool = False) -> Value:
        """The value without its `Secret` wrappers; `secret` says whether there were any."""
        while isinstance(raw, Secret):
            raw, secret = raw.value, True
        return cls(path=path, raw=raw, secret=secret)

    @property
    def known(self) -> Any:
        """The value; None where it is absent.

        Raises:
            UndecidedError: The value is not known yet.
        """
        if self.raw is UNKNOWN:
            raise UndecidedError(waits_for=self.path)
        return self.raw

    @property
    def is_known(self) -> bool:
        """Whether the value, or its absence, is known."""
        return self.raw is not UNKNOWN

    @property
    def given(self) -> bool:
        """Whether there is a value, known or not. An empty string counts as absent."""
        return self.raw not in (None, "")

    @property
    def shown(self) -> str:
        """The value for a message: a secret is not shown, and a long text is cut."""
        if not self.given:
            return "not set"
        if self.secret:
            return "a secret"
        if self.raw is UNKNOWN:
            return "not known yet"
        if not isinstance(self.raw, str | bool | int | float):
            return "a list" if isinstance(self.raw, list) else "a map"
        text = str(self.raw).lower() if isinstance(self.raw, bool) else str(self.raw)
        text = text.encode("unicode_escape").decode("ascii")
        return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")

    def text(self) -> str:
        """The value as text without surrounding white space; empty where it is absent."""
        known = self.known
        if known is None:
            return ""
        if isinstance(known, bool):
            return "true" if known else "false"
        return str(known).strip()

    def number(self) -> float | None:
        """The value as a number, also where it is text; None for anything else."""
        text = self.text()
        return float(text) if re.fullmatch(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", text) else None

    def truth(self) -> bool | None:
        """The value as a boolean, also where it is text or a number; None for anything else."""
        return {"true": True, "1": True, "false": False, "0": False}.get(self.text().lower())

    def at(self, key: str) -> Value:
        """The value of a key; absent where this is not a map."""
        known = self.known
        raw = known.get(key) if isinstance(known, Mapping) else None
        path = known.places.get(key) if isinstance(known, Placed) else None
        return Value.of(path or (f"{self.path}.{key}" if self.path else key), raw, secret=self.secret)

    def items(self) -> list[Value]:
        """The elements of a list; a value that is not a list is its only element."""
        known = self.known
        if known is None:
            return []
        elements = known if isinstance(known, list) else [known]
        return [
            Value.of(f"{self.path}[{index}]", each, secret=self.secret) for index, each in enumerate(elements)
        ]

    def renamed(self, path: str) -> Value:
        """The same value under another path, for a message about another resource."""
        return Value(path=path, raw=self.raw, secret=self.secret)

    def hidden(self) -> Value:
        """The same value as a secret, so that a message does not show it."""
        return Value(path=self.path, raw=self.raw, secret=True)

    def emptied(self) -> Value:
        """The absent value under the same path."""
        return Value(path=self.path, raw=None)

    def hides_a_secret(self) -> bool:
        """Whether it, or something in it, is a secret that is not known yet."""
        return _hides(self.raw, counts=self.secret)

    def hides_something(self) -> bool:
        """Whether it, or something in it, is not known yet."""
        return _hides(self.raw, counts=True)

    def known_texts(self) -> Iterator[str]:
        """Every known text in the value, at any depth."""
        yield from _texts(self.raw)


def throughout(items: Iterable[_Item], judge: Callable[[_Item], Iterator[_Found]]) -> Iterator[_Found]:
    """What `judge` yields for each item.

    Raises:
        UndecidedError: An item is not known yet. It is raised after all others, so that it hides nothing.
    """
    undecided: UndecidedError | None = None
    for each in items:
        try:
            yield from judge(each)
        except UndecidedError as error:
            undecided = undecided or error
    if undecided is not None:
        raise undecided


def _hides(raw: Any, *, counts: bool) -> bool:
    """Whether there is an unknown value that counts; inside of a secret each does."""
    if isinstance(raw, Secret):
        return _hides(raw.value, counts=True)
    if isinstance(raw, Mapping):
        return any(_hides(each, counts=counts) for each in raw.values())
    if isinstance(raw, list):
        return any(_hides(each, counts=counts) for each in raw)
    return counts and raw is UNKNOWN


def _texts(raw: Any) -> Iterator[str]:
    if isinstance(raw, Secret):
        yield from _texts(raw.value)
    elif isinstance(raw, str):
        yield raw
    elif isinstance(raw, Mapping):
        for each in raw.values():
            yield from _texts(each)
    elif isinstance(raw, list):
        for each in raw:
            yield from _texts(each)
