"""Policy documents of IAM and of resources: their statements, in every way in which they can be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from policy.resources import Resource
from policy.rule import Outcome, Problem, ResourceCheck
from policy.values import TextPlace, Value, throughout


class UnreadableError(Exception):
    """A policy document cannot be parsed; the message says why and quotes nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement. pulumi-aws accepts its keys in upper and lower case.

    Attributes:
        place: The statement's value, with its index in the document as path.
    """

    place: Value

    def _at(self, key: str) -> Value:
        known = self.place.known
        if isinstance(known, Mapping) and key not in known:
            key = next((each for each in known if each.lower() == key.lower()), key)
        return self.place.at(key)

    @property
    def allows(self) -> bool:
        """Whether its effect is Allow."""
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
        """Those of `NotAction`, `NotResource` and `NotPrincipal` that it has."""
        return [each for key in ("NotAction", "NotResource", "NotPrincipal") if (each := self._at(key)).given]

    @property
    def principals(self) -> list[Value]:
        """Each principal of any kind."""
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
        """Its conditions by operator."""
        return self._at("Condition")

    def conditions(self) -> Iterator[tuple[str, str, list[Value]]]:
        """Operator, key (both in lower case) and values of each condition."""
        known = self.condition.known
        for operator in known if isinstance(known, Mapping) else ():
            keys = self.condition.at(operator)
            for key in keys.known if isinstance(keys.known, Mapping) else ():
                yield operator.lower(), key.lower(), keys.at(key).items()


Judge = Callable[[Statement], Iterator[Outcome]]


def statement_values(document: Value) -> list[Value]:
    """The statements of a document that is JSON text or a map.

    Raises:
        UndecidedError: The statements are not known yet.
        UnreadableError: It is not a policy document.
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


def allowing(document: Value, judge: Judge, *, unreadable: bool = False) -> Iterator[Outcome]:
    """What `judge` yields for each Allow statement; an unknown value is raised after all that are known.

    One of the rules about a document sets `unreadable`, and so reports a document that cannot be parsed.
    """

    def of_statement(value: Value) -> Iterator[Outcome]:
        statement = Statement(place=value)
        if statement.allows:
            yield from judge(statement)

    try:
        yield from throughout(statement_values(document), of_statement)
    except UnreadableError as error:
        if unreadable:
            yield _unreadable(document, error)


def in_policy(judge: Judge, name: str = "policy", *, unreadable: bool = False) -> ResourceCheck:
    """A check of the Allow statements in a resource's policy, where it has one."""

    def check(resource: Resource) -> Iterator[Outcome]:
        if resource[name].given:
            yield from allowing(resource[name], judge, unreadable=unreadable)

    return check


def not_everybody(statement: Statement) -> Iterator[Outcome]:
    """A problem for each principal `*`, unless a condition restricts the statement."""
    if not statement.condition.given:
        for principal in statement.principals:
            if principal.text() == "*":
                yield Problem(at=principal, reason="expected named principals, or a condition")


def _unreadable(document: Value, error: UnreadableError) -> Problem:
    return Problem(at=TextPlace(path=document.path), reason=f"it is not a valid policy document: {error}")


def rejects_plain_text(document: Value) -> Iterator[Outcome]:
    """A problem unless a statement denies everybody requests without TLS."""
    try:
        if not _denies_plain_text(document):
            yield Problem(
                at=TextPlace(path=document.path),
                reason="no statement denies everybody requests with aws:SecureTransport false",
            )
    except UnreadableError as error:
        yield _unreadable(document, error)


def _denies_plain_text(document: Value) -> bool:
    """Whether a statement denies everybody requests without TLS.

    Raises:
        UndecidedError: A value that decides it is not known yet.
        UnreadableError: It is not a policy document.
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
