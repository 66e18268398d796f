"""Conditions of policy statements: whether a request of a stranger can satisfy them.

A stranger has another account, another organisation, any address, and whatever a caller chooses by itself.
Keys do not depend on each other, so the conditions on each key are decided alone: they admit strangers if
some value of the key that a stranger can have satisfies all of them, or if a request without the key does.
Values are sets of texts that patterns describe, and a search over the patterns finds one or proves that
there is none.

Sources: IAM User Guide, "IAM JSON policy elements: Condition operators", "Set operators for multivalued
context keys", "Variables and tags", "AWS global condition context keys".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from policy.address_ranges import are_public, common, others, ranges
from policy.context_keys import KINDS, NETWORK, RESOURCE_ACCOUNT, RESOURCE_ORGANISATION, Kind
from policy.owned import Owned
from policy.patterns import ANY_TEXT, Pattern, Token, has_text, literal


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition.

    Attributes:
        operator: The operator as written, such as `ForAnyValue:StringLikeIfExists`.
        key: The context key in lower case.
        values: The values as written; None for one that is not known.
    """

    operator: str
    key: str
    values: tuple[str | None, ...]

    @property
    def quantifier(self) -> str:
        """`forallvalues`, `foranyvalue` or nothing."""
        return self.operator.lower().rpartition(":")[0]

    @property
    def base(self) -> str:
        """The operator in lower case without quantifier and IfExists."""
        return self.operator.lower().rpartition(":")[2].removesuffix("ifexists")

    @property
    def is_known(self) -> bool:
        """Whether IAM has the operator."""
        return self.base in _OPERATORS and self.quantifier in ("", "forallvalues", "foranyvalue")

    @property
    def is_negated(self) -> bool:
        """Whether it holds where no value matches."""
        return "not" in self.base

    @property
    def holds_without_the_key(self) -> bool:
        """Whether a request that lacks the key satisfies it."""
        if self.base == "null":
            return "true" in self.values
        if self.operator.lower().endswith("ifexists") or self.quantifier == "forallvalues":
            return True
        return self.is_negated and self.quantifier != "foranyvalue"


class Answer(Enum):
    """Whether a stranger can satisfy conditions."""

    NO = "no"
    UNDECIDED = "undecided"
    YES = "yes"


_STRINGS = frozenset(
    {
        "stringequals", "stringnotequals", "stringequalsignorecase", "stringnotequalsignorecase",
        "stringlike", "stringnotlike", "arnequals", "arnnotequals", "arnlike", "arnnotlike", "bool",
        "binaryequals",
    }
)  # fmt: skip
_ORDERS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {
        "equals": lambda given, stated: given == stated,
        "notequals": lambda given, stated: given == stated,
        "lessthan": lambda given, stated: given < stated,
        "lessthanequals": lambda given, stated: given <= stated,
        "greaterthan": lambda given, stated: given > stated,
        "greaterthanequals": lambda given, stated: given >= stated,
    }
)
_ADDRESSES = frozenset({"ipaddress", "notipaddress"})
_OPERATORS = (
    _STRINGS | _ADDRESSES | {f"{kind}{order}" for kind in ("numeric", "date") for order in _ORDERS} | {"null"}
)


_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_OF_THE_RESOURCE = MappingProxyType(
    {"aws:resourceaccount": RESOURCE_ACCOUNT, "aws:resourceorgid": RESOURCE_ORGANISATION}
)
_OF_THE_CALLER = (
    "aws:principal", "aws:source", "aws:user", "aws:requesttag/", "aws:referer", "aws:vpc", "aws:fed",
    "aws:multifactor", "aws:tagkeys", "aws:ec2", "sts:", "saml:", "accounts.google.com:",
    "cognito-identity.", "graph.facebook.com:", "www.amazon.com:",
)  # fmt: skip


class _UndecidedVariableError(Exception):
    """A policy variable's value is neither the caller's choice nor one's own."""


@lru_cache(maxsize=8192)
def _pattern(base: str, text: str) -> Pattern | None:
    """What a value of an operator matches, None for nothing.

    Raises:
        _UndecidedVariableError: The value of a variable in it is not known.
    """
    fold = base in ("bool", "stringequalsignorecase", "stringnotequalsignorecase")
    like, arn = base.endswith("like"), base.startswith("arn")
    tokens: list[Token] = []
    is_chosen = False
    for index, part in enumerate(_VARIABLE.split(text)):
        if index % 2 == 0:
            for char in part:
                if char in "*?" and (like or arn):
                    tokens.append(Token("", many=char == "*"))
                else:
                    tokens.append(Token(char.lower() + char.upper() if fold else char))
            continue
        name = part.strip().lower()
        if name in ("*", "?", "$"):
            tokens.append(Token(name))
        elif name in _OF_THE_RESOURCE:
            tokens.append(Token(_OF_THE_RESOURCE[name]))
        elif name.startswith(_OF_THE_CALLER):
            tokens.append(ANY_TEXT)
            is_chosen = True
        else:
            raise _UndecidedVariableError
    if not arn or tokens == [ANY_TEXT]:
        return tuple(tokens)
    return _by_fields(tokens) or ((ANY_TEXT,) if is_chosen else None)


def _by_fields(tokens: Sequence[Token]) -> Pattern | None:
    """The pattern of an ARN, in which a wildcard stays in one of the first five fields."""
    result: list[Token] = []
    colons = 0
    for token in tokens:
        colons += token.chars == ":"
        result.append(token._replace(but=":") if colons < 5 and not token.chars else token)
    return tuple(result) if colons >= 5 else None


_ANYTHING = Kind()


def _of_keys(conditions: Iterable[Condition]) -> dict[str, list[Condition]]:
    result: dict[str, list[Condition]] = {}
    for each in conditions:
        result.setdefault(each.key, []).append(each)
    return result


def _texts(conditions: Iterable[Condition]) -> Iterator[str]:
    for each in conditions:
        yield from (value for value in each.values if value is not None)


class _Strangers(NamedTuple):
    """Values of one key that a request can have.

    Attributes:
        kind: The key's kind.
        own: Patterns of values that a stranger cannot have.
        is_careful: Whether what is not known lets a request through.
        counts: Whether the key's values tell strangers from others.
    """

    kind: Kind
    own: tuple[Pattern, ...]
    is_careful: bool
    counts: bool


def _can_satisfy(conditions: Sequence[Condition], strangers: _Strangers) -> bool:
    """Whether a request satisfies all conditions on one key."""
    known = [each for each in conditions if each.is_known]
    if len(known) < len(conditions) and not strangers.is_careful:
        return False
    if all(each.holds_without_the_key for each in known):
        return True
    tests = [each for each in known if each.base != "null"]
    if any("false" not in each.values for each in known if each.base == "null") or not strangers.kind.domain:
        return False
    strings = [each for each in tests if each.base in _STRINGS]
    addresses = [each for each in tests if each.base in _ADDRESSES]
    numbers = [each for each in tests if each.base not in _STRINGS | _ADDRESSES]
    return (
        (not numbers or _has_number(numbers, is_careful=strangers.is_careful))
        and (not addresses or _has_address(addresses, strangers))
        and all(_has_value(each, strangers) for each in _for_one_value(strings))
    )


def _for_one_value(conditions: Sequence[Condition]) -> Iterator[list[Condition]]:
    """The conditions that one value of the key has to satisfy together, for each value that is needed."""
    anyhow = [each for each in conditions if each.quantifier != "foranyvalue"]
    some = [each for each in conditions if each.quantifier == "foranyvalue"]
    if any(not each.quantifier for each in anyhow) or not some:
        yield [*anyhow, *some]
    else:
        for each in some:
            yield [*anyhow, each]


def _has_value(conditions: Sequence[Condition], strangers: _Strangers) -> bool:
    required: list[tuple[Pattern, ...]] = [strangers.kind.domain]
    forbidden: list[Pattern] = list(strangers.own)
    for each in conditions:
        matching = tuple(_matching(each, is_careful=strangers.is_careful))
        if each.is_negated:
            forbidden.extend(matching)
        else:
            required.append(matching)
    return has_text(tuple(required), tuple(dict.fromkeys(forbidden)))


def _matching(condition: Condition, *, is_careful: bool) -> Iterator[Pattern]:
    """What a request's value may match. An unknown value matches everything or nothing."""
    for value in condition.values:
        try:
            pattern = None if value is None else _pattern(condition.base, value)
            unknown = value is None
        except _UndecidedVariableError:
            pattern, unknown = None, True
        if unknown:
            if is_careful != condition.is_negated:
                yield (ANY_TEXT,)
        elif pattern is not None and not (condition.is_negated and _is_chosen(value)):
            yield pattern


def _is_chosen(value: str | None) -> bool:
    """Whether the caller chooses a part of the value, and so can differ from it."""
    return any(name.strip().lower().startswith(_OF_THE_CALLER) for name in _VARIABLE.findall(value or ""))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _has_number(conditions: Sequence[Condition], *, is_careful: bool) -> bool:
    stated = sorted({number for text in _texts(conditions) if (number := _number(text)) is not None})
    between = [(low + high) / 2 for low, high in pairwise(stated)]
    # Between two stated numbers, all numbers satisfy the same conditions.
    candidates = [*stated, *between, *([stated[0] - 1, stated[-1] + 1] if stated else [0.0])]
    return any(
        all(_number_satisfies(each, candidate, is_careful=is_careful) for each in conditions)
        for candidate in candidates
    )


def _number_satisfies(condition: Condition, given: float, *, is_careful: bool) -> bool:
    if None in condition.values or any(map(_VARIABLE.search, filter(None, condition.values))):
        return is_careful
    compare = _ORDERS[condition.base.removeprefix("numeric").removeprefix("date")]
    numbers = [_number(text) for text in condition.values if text is not None]
    return any(number is not None and compare(given, number) for number in numbers) != condition.is_negated


def _has_address(conditions: Sequence[Condition], strangers: _Strangers) -> bool:
    allowed = others([])
    for each in conditions:
        known = [value for value in each.values if value is not None and not _VARIABLE.search(value)]
        if len(known) < len(each.values) and strangers.is_careful != each.is_negated:
            matching = others([])
        else:
            matching = ranges(known)
        allowed = common(allowed, others(matching) if each.is_negated else matching)
    if strangers.counts and strangers.kind is NETWORK:
        return are_public(allowed)
    return bool(allowed)


def _strangers(
    key: str, conditions: Sequence[Condition], counted: Mapping[str, Kind], owned: Owned, *, is_careful: bool
) -> _Strangers:
    kind = next((kind for name, kind in counted.items() if name == key or _is_below(name, key)), None)
    if kind is None:
        return _Strangers(KINDS.get(key, _ANYTHING), (), is_careful=is_careful, counts=False)
    if not is_careful:
        stated = [kind.owner(text) for text in _texts(conditions)]
        owned = Owned(
            accounts=owned.accounts or frozenset().union(*(each.accounts for each in stated)),
            organisations=owned.organisations or frozenset().union(*(each.organisations for each in stated)),
        )
    own = [*kind.own(owned)]
    own += [
        _named(each.base, value)
        for each in conditions
        if each.base in _STRINGS
        for value in _texts((each,))
        if "${" not in value and kind.names(value)
    ]
    return _Strangers(kind, tuple(dict.fromkeys(own)), is_careful=is_careful, counts=True)


def _named(base: str, value: str) -> Pattern:
    """The values that a value names: with wildcards those that match it, else itself in any case."""
    pattern = _pattern(base if "*" in value or "?" in value else "stringequalsignorecase", value)
    return pattern or ()


def _is_below(name: str, key: str) -> bool:
    return name.endswith(("/", ":")) and key.startswith(name)


def admits_strangers(
    conditions: Iterable[Condition], counted: Mapping[str, Kind], owned: Owned | None = None
) -> Answer:
    """Whether a request of a stranger can satisfy all conditions of a statement.

    Args:
        conditions: The statement's conditions.
        counted: The kinds of the keys that tell strangers from others for the rule, by key in lower case; one
            that ends in `/` or `:` stands for all keys that begin with it. No other key keeps a stranger out.
        owned: What is one's own. Where nothing is known, a stated account or organisation may be.

    Returns:
        UNDECIDED where it depends on values that are not known, or on what is one's own.
    """
    by_key = _of_keys(conditions)

    def can(*, is_careful: bool) -> bool:
        return all(
            _can_satisfy(each, _strangers(key, each, counted, owned or Owned(), is_careful=is_careful))
            for key, each in by_key.items()
        )

    if can(is_careful=False):
        return Answer.YES
    return Answer.UNDECIDED if can(is_careful=True) else Answer.NO


def unsettled_owners(conditions: Iterable[Condition], counted: Mapping[str, Kind], owned: Owned) -> list[str]:
    """The accounts and organisations in the conditions that may be one's own, as long as it is not known."""
    found: set[str] = set()
    for each in conditions:
        for text in _texts((each,)) if each.key in counted else ():
            stated = counted[each.key].owner(text)
            found |= frozenset() if owned.accounts else stated.accounts
            found |= frozenset() if owned.organisations else stated.organisations
    return sorted(found)


def unsatisfiable_keys(conditions: Iterable[Condition]) -> list[str]:
    """The keys whose conditions no request can satisfy."""
    return [
        key
        for key, each in _of_keys(conditions).items()
        if not _can_satisfy(each, _Strangers(KINDS.get(key, _ANYTHING), (), is_careful=True, counts=False))
    ]


def holds_without_tls(conditions: Iterable[Condition]) -> Answer:
    """Whether every request without TLS satisfies all conditions, whatever else it is."""
    plain = Kind(domain=(literal("false"),))
    answers: list[Answer] = []
    for each in conditions:
        if each.key != "aws:securetransport":
            answers.append(Answer.NO)
            continue
        # The key is in every request, and has this one value, which either satisfies the condition or not.
        present = Condition(operator="Null", key=each.key, values=("false",))
        careful, certain = (
            _can_satisfy([each, present], _Strangers(plain, (), is_careful=value, counts=False))
            for value in (True, False)
        )
        answers.append(Answer.YES if certain else Answer.UNDECIDED if careful else Answer.NO)
    if Answer.NO in answers:
        return Answer.NO
    return Answer.UNDECIDED if Answer.UNDECIDED in answers else Answer.YES


def covers(wanted: str, patterns: Iterable[str], *, but: Iterable[str] = ()) -> bool:
    """Whether every text that the pattern `wanted` matches, matches one of `patterns` and none of `but`."""
    (goal,), allowed, refused = (_globs(each) for each in ((wanted,), patterns, but))
    return not has_text(((goal,),), allowed) and not (refused and has_text(((goal,), refused)))


def meet(wanted: str, patterns: Iterable[str]) -> bool:
    """Whether some text matches the pattern `wanted` and one of `patterns`."""
    return has_text((_globs((wanted,)), _globs(patterns)))


def _globs(texts: Iterable[str]) -> tuple[Pattern, ...]:
    # A variable's value is not known here, so it counts as a text that nothing else matches.
    return tuple(
        tuple(Token("", many=char == "*") if char in "*?" else Token(char) for char in text) for text in texts
    )
