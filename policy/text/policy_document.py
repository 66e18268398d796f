"""Policy documents of IAM and of resources: their statements, in every way in which they can be written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from policy.conditions import (
    Answer,
    Condition,
    admits_strangers,
    covers,
    holds_without_tls,
    unsettled_owners,
)
from policy.context_keys import OF_EVERYBODY, Kind
from policy.owned import Owned
from policy.resources import Resource
from policy.rule import Outcome, Problem, ResourceCheck, Unclear
from policy.values import TextPlace, UndecidedError, Value, throughout

# What all names of a kind match, such as `role/*`, `secret:*` or the whole of `arn:aws:iam::*`.
_EVERY_NAME = re.compile(
    r"(?:(?:alias|cluster|db|dbuser|function|group|instance-profile|key|parameter|policy|role|secret|stack|user)"
    r"[/:]?)?[*?/:]*\*[*?/:]*"
)
_FIELDS_OF_AN_ARN = 6
_NOT_KNOWN = Condition(operator="", key="", values=())


class UnreadableError(Exception):
    """A policy document cannot be parsed; the message says why and quotes nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement. pulumi-aws accepts its keys in upper and lower case.

    Attributes:
        place: The statement's value, with its index in the document as path.
        owned: What is one's own.
    """

    place: Value
    owned: Owned = field(default_factory=Owned)

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
    def everybody(self) -> Iterator[Value]:
        """What lets everybody in: each principal `*`, and all but some principals."""
        if (excluded := self._at("NotPrincipal")).given:
            yield excluded
        yield from throughout(self.principals, lambda each: iter([each] if each.text() == "*" else ()))

    @property
    def denies_everybody(self) -> bool:
        """Whether, as a Deny statement, it is about every caller."""
        principal = self._at("Principal")
        every = principal.at("AWS") if isinstance(principal.known, Mapping) else principal
        return any(each.text() == "*" for each in every.items())

    def of(self, key: str) -> list[Value]:
        """Each element of one of its keys."""
        return self._at(key).items()

    def is_about(self, actions: str) -> bool:
        """Whether it includes every action that a pattern matches."""
        excluded = [each.text().lower() for each in self.of("NotAction")]
        included = ["*"] if excluded else [each.text().lower() for each in self.actions]
        return covers(actions.lower(), included, but=excluded)

    def grants(self, action: str) -> Iterator[Value]:
        """Each element of `Action` that includes an action, or `NotAction` where that does not exclude it."""
        excluded = self._at("NotAction")
        if excluded.given and not any(fnmatchcase(action, each.text().lower()) for each in excluded.items()):
            yield excluded
        for each in self.actions:
            if fnmatchcase(action, each.text().lower()):
                yield each

    def everything(self) -> Iterator[Value]:
        """What makes it about all resources of a kind: elements of `Resource` such as `*` and `role/*`."""
        if (excluded := self._at("NotResource")).given:
            yield excluded
        for each in self.resources:
            if is_every_resource(each.text()):
                yield each

    @property
    def condition(self) -> Value:
        """Its conditions by operator."""
        return self._at("Condition")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Its conditions; those that are not known have an operator that IAM has not."""
        block = self.condition
        if not block.is_known:
            return (_NOT_KNOWN,)
        found: list[Condition] = []
        for operator in block.known if isinstance(block.known, Mapping) else ():
            keys = block.at(operator)
            if not keys.is_known:
                found.append(_NOT_KNOWN)
            elif isinstance(keys.known, Mapping):
                found += [
                    Condition(operator=operator, key=key.lower(), values=_texts(keys.at(key)))
                    for key in keys.known
                ]
        return tuple(found)

    def unless_narrowed(self, counted: Mapping[str, Kind], problems: Iterable[Outcome]) -> Iterator[Outcome]:
        """The problems, unless its conditions keep strangers out.

        Args:
            counted: The keys that count; see `policy.context_keys`.
            problems: What is wrong with the statement without its conditions.
        """
        if not (found := list(problems)):
            return
        conditions = self.conditions
        answer = admits_strangers(conditions, counted, self.owned)
        if answer is Answer.YES:
            yield from found
        elif answer is Answer.UNDECIDED:
            if owners := unsettled_owners(conditions, counted, self.owned):
                yield Unclear(
                    why=f"{self.condition.path} names {', '.join(owners)}: if that is one's own, say so "
                    "under accounts or organisations in the pack's configuration"
                )
            else:
                yield Unclear(
                    why=f"{self.condition.path} is not known before the update", is_decided_later=True
                )


def _texts(values: Value) -> tuple[str | None, ...]:
    if not values.is_known:
        return (None,)
    return tuple(each.text() if each.is_known else None for each in values.items())


def is_every_resource(resource: str) -> bool:
    """Whether a resource, as written, is all of a kind, such as `*` or `arn:aws:iam::123456789012:role/*`."""
    parts = resource.split(":", _FIELDS_OF_AN_ARN - 1)
    if len(parts) < _FIELDS_OF_AN_ARN:
        return resource.endswith("*")
    return _EVERY_NAME.fullmatch(parts[-1]) is not None


Judge = Callable[[Statement], Iterator[Outcome]]


def statement_values(document: Value) -> list[Value]:
    """The statements of a document that is JSON text or a map.

    Raises:
        UndecidedError: The statements are not known yet.
        UnreadableError: It is not a policy document.
    """
    known = document.known
    if isinstance(known, str):
        known = _parsed(known)
        if isinstance(known, UnreadableError):
            raise known
    statements = Value.of(document.path, known, secret=document.secret).at("Statement")
    if not isinstance(statements.known, list | Mapping):
        raise UnreadableError("it has no statements")
    return statements.items()


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    """What JSON text holds, or the error. Several rules read each document; none changes it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return UnreadableError(f"invalid JSON at line {error.lineno}, column {error.colno}")


def in_statements(document: Value, judge: Judge, owned: Owned) -> Iterator[Outcome]:
    """What `judge` yields for each statement; an unknown value is raised after all that are known.

    Raises:
        UnreadableError: It is not a policy document.
    """
    yield from throughout(
        statement_values(document), lambda value: judge(Statement(place=value, owned=owned))
    )


def allowing(document: Value, judge: Judge, owned: Owned, *, unreadable: bool = False) -> Iterator[Outcome]:
    """What `judge` yields for each Allow statement; an unknown value is raised after all that are known.

    One of the rules about a document sets `unreadable`, and so reports a document that cannot be parsed.
    """

    def of_allowing(statement: Statement) -> Iterator[Outcome]:
        if statement.allows:
            yield from judge(statement)

    try:
        yield from in_statements(document, of_allowing, owned)
    except UnreadableError as error:
        if unreadable:
            yield _unreadable(document, error)


def in_policy(judge: Judge, name: str = "policy", *, unreadable: bool = False) -> ResourceCheck:
    """A check of the Allow statements in a resource's policy, where it has one."""

    def check(resource: Resource) -> Iterator[Outcome]:
        if resource[name].given:
            yield from allowing(resource[name], judge, resource.owned, unreadable=unreadable)

    return check


def not_everybody(statement: Statement) -> Iterator[Outcome]:
    """A problem for each principal `*`, unless conditions keep strangers out."""
    yield from statement.unless_narrowed(
        OF_EVERYBODY,
        (
            Problem(at=each, reason="expected named principals, or a condition that strangers do not meet")
            for each in statement.everybody
        ),
    )


def _unreadable(document: Value, error: UnreadableError) -> Problem:
    return Problem(at=TextPlace(path=document.path), reason=f"it is not a valid policy document: {error}")


def rejects_plain_text(
    document: Value, *, actions: Sequence[str], holders: Sequence[str], parts: Sequence[str] = ("",)
) -> Iterator[Outcome]:
    """A problem unless statements deny everybody the actions on the whole resource without TLS.

    Args:
        actions: The actions, as patterns.
        holders: ARNs that the resource can have, by partition; none where it has no name yet.
        parts: What follows the ARN in each part of the resource.
    """
    try:
        denied, undecided = _denied_without_tls(document, actions)
        names = holders or sorted({each.removesuffix("/*") for allowed, _ in denied for each in allowed})
        if not any(all(_is_denied(f"{name}{part}", denied) for part in parts) for name in names):
            if undecided is not None:
                raise undecided
            whole = " and ".join(f"{holders[0]}{part}" for part in parts) if holders else "the whole resource"
            yield Problem(
                at=TextPlace(path=document.path),
                reason=f"no statement denies everybody {' and '.join(actions)} on {whole} "
                "where aws:SecureTransport is false",
            )
    except UnreadableError as error:
        yield _unreadable(document, error)


def _is_denied(target: str, denied: Sequence[tuple[list[str], list[str]]]) -> bool:
    together = [each for allowed, excluded in denied if not excluded for each in allowed]
    return covers(target, together) or any(
        covers(target, allowed, but=excluded) for allowed, excluded in denied if excluded
    )


def _denied_without_tls(
    document: Value, actions: Sequence[str]
) -> tuple[list[tuple[list[str], list[str]]], UndecidedError | None]:
    """`Resource` and `NotResource` of each statement that denies everybody the actions without TLS.

    Returns:
        They, and what is not known yet.

    Raises:
        UndecidedError: None of the statements is known yet.
        UnreadableError: It is not a policy document.
    """
    found: list[tuple[list[str], list[str]]] = []
    undecided: UndecidedError | None = None
    for value in statement_values(document):
        statement = Statement(place=value)
        try:
            if statement.allows or not statement.denies_everybody:
                continue
            answer = holds_without_tls(statement.conditions)
            if answer is Answer.UNDECIDED:
                undecided = UndecidedError(f"{statement.condition.path} is not known before the update")
            elif answer is Answer.YES and all(statement.is_about(each) for each in actions):
                excluded = [each.text() for each in statement.of("NotResource")]
                found.append((["*"] if excluded else [each.text() for each in statement.resources], excluded))
        except UndecidedError as error:
            undecided = undecided or error
    return found, undecided
