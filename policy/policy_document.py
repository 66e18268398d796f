"""Policy documents of IAM and of resources: their statements, however they are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from policy.rule import Outcome, Problem
from policy.values import UndecidedError, Value


class UnreadableError(Exception):
    """A policy document is no JSON object with statements; the text does not quote it."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement; keys may be in upper or lower case, as pulumi-aws takes both.

    Attributes:
        place: The statement.
    """

    place: Value

    def _at(self, key: str) -> Value:
        known = self.place.known
        if isinstance(known, Mapping) and key not in known:
            key = next((each for each in known if each.lower() == key.lower()), key)
        return self.place.at(key)

    @property
    def allows(self) -> bool:
        """Whether it allows; a Deny does not."""
        return self._at("Effect").text().lower() == "allow"

    @property
    def actions(self) -> list[Value]:
        """Each element of `Action`."""
        return self._at("Action").items()

    @property
    def resources(self) -> list[Value]:
        """Each element of `Resource`."""
        return self._at("Resource").items()

    @property
    def excluded(self) -> list[Value]:
        """`NotAction`, `NotResource` and `NotPrincipal`, as far as they are there."""
        return [each for key in ("NotAction", "NotResource", "NotPrincipal") if (each := self._at(key)).given]

    @property
    def principals(self) -> list[Value]:
        """Each principal, of whatever kind."""
        principal = self._at("Principal")
        if isinstance(principal.known, Mapping):
            return [each for kind in principal.known for each in principal.at(kind).items()]
        return principal.items()

    def principals_of(self, kind: str) -> list[Value]:
        """Each principal of one kind, such as `Service`."""
        principal = self._at("Principal")
        return principal.at(kind).items() if isinstance(principal.known, Mapping) else []

    @property
    def condition(self) -> Value:
        """Its conditions, by operator."""
        return self._at("Condition")

    def conditions(self) -> Iterator[tuple[str, str, list[Value]]]:
        """Operator, key (both in lower case) and values of each condition."""
        known = self.condition.known
        for operator in known if isinstance(known, Mapping) else ():
            keys = self.condition.at(operator)
            for key in keys.known if isinstance(keys.known, Mapping) else ():
                yield operator.lower(), key.lower(), keys.at(key).items()


def statement_values(document: Value) -> list[Value]:
    """The statements of a document, as text or as a map.

    Raises:
        UndecidedError: They are not known yet.
        UnreadableError: It is no policy document.
    """
    known = document.known
    if isinstance(known, str):
        try:
            known = json.loads(known)
        except json.JSONDecodeError as error:
            raise UnreadableError(f"invalid JSON at line {error.lineno}, column {error.colno}") from None
    statements = Value.of(document.path, known, secret=document.secret).at("Statement")
    if not isinstance(statements.known, list | Mapping):
        raise UnreadableError("it has no statements")
    return statements.items()


def allowing(
    document: Value, judge: Callable[[Statement], Iterator[Outcome]], *, unreadable: bool = False
) -> Iterator[Outcome]:
    """What is judged of each statement that allows; what is not known yet comes last.

    Of the rules about one document, one says with `unreadable` that it cannot be read.
    """
    undecided: UndecidedError | None = None
    try:
        for value in statement_values(document):
            statement = Statement(place=value)
            try:
                if statement.allows:
                    yield from judge(statement)
            except UndecidedError as error:
                undecided = undecided or error
    except UnreadableError as error:
        if unreadable:
            yield Problem(at=document, reason=f"it cannot be read as a policy document: {error}")
    if undecided is not None:
        raise undecided


def denies_plain_text(document: Value) -> bool:
    """Whether a statement denies everybody what comes without TLS.

    Raises:
        UndecidedError: Something that matters is not known yet.
        UnreadableError: It is no policy document.
    """
    for value in statement_values(document):
        statement = Statement(place=value)
        if statement.allows or "*" not in [each.text() for each in statement.principals]:
            continue
        for operator, key, values in statement.conditions():
            off = [each.truth() is False for each in values]
            if operator.startswith("bool") and key == "aws:securetransport" and off and all(off):
                return True
    return False
