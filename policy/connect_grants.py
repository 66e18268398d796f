"""Who may log in to a database by IAM: `rds-db:connect` in the policy documents of a stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from policy.registered import Resource
from policy.values import Value

ACTION = "rds-db:connect"
DOCUMENTS = (
    "aws:iam/policy:Policy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/groupPolicy:GroupPolicy",
)
ROLE = "aws:iam/role:Role"
HOLDERS = (*DOCUMENTS, ROLE)

_EXACT = re.compile(
    r"arn:aws(?:-[a-z]+)*:rds-db:[a-z]{2,}(?:-[a-z]+)+-[0-9]+:[0-9]{12}:"
    r"dbuser:(?P<server>(?:db|cluster)-[A-Z0-9]+|prx-[a-z0-9]+)/(?P<user>[^*?]+)"
)
_VARIABLE = "${"


class UnreadableError(Exception):
    """A policy document is no JSON object with statements; the text does not quote it."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One resource of an `Allow` statement whose actions include `rds-db:connect`.

    Attributes:
        place: The property that holds the document.
        action: The action as it is written; `NotAction` where that is what lets it in.
        resource: The resource as it is written.
    """

    place: Value
    action: str
    resource: str

    @property
    def names_the_action(self) -> bool:
        """Whether the action is written out."""
        return self.action.lower() == ACTION

    @property
    def exact(self) -> re.Match[str] | None:
        """Its parts, when it names one server and one user in one account and region."""
        return None if _VARIABLE in self.resource else _EXACT.fullmatch(self.resource)

    @property
    def user(self) -> str:
        """The database user as it is written; empty when the resource names none."""
        return self.resource.rpartition("/")[2] if "/" in self.resource else ""

    def written(self, element: Literal["Action", "Resource"]) -> Value:
        """An element of the statement, for a message."""
        text = self.action if element == "Action" else self.resource
        path = f"{self.place.path}.Statement[].{element}"
        return Value(path=path, raw=text, secret=self.place.secret)

    def covers(self, server: str) -> bool:
        """Whether it lets somebody in to the server with this resource id."""
        start, found, rest = self.resource.partition(":dbuser:")
        if not found:
            return _may_be_a_database(self.resource)
        return fnmatchcase("rds-db", _service(start)) and fnmatchcase(server, rest.partition("/")[0])


def documents(resource: Resource) -> Iterator[Value]:
    """The policy documents of a resource."""
    if resource.type != ROLE:
        yield resource["policy"]
        return
    for inline in resource["inlinePolicies"].items():
        if inline.at("policy").given:
            yield inline.at("policy")


def grants(document: Value) -> Iterator[Grant]:
    """What a document grants of `rds-db:connect`.

    Raises:
        UndecidedError: The document is not known yet.
        UnreadableError: It is no policy document.
    """
    for statement in _statements(document):
        if str(statement.get("Effect", "")).lower() != "allow":
            continue
        action = _granting_action(statement)
        if action is None:
            continue
        if "NotResource" in statement:
            yield Grant(place=document, action=action, resource="NotResource")
        for resource in _texts(statement.get("Resource")):
            if action.lower() == ACTION or _may_be_a_database(resource):
                yield Grant(place=document, action=action, resource=resource)


def _statements(document: Value) -> Iterator[Mapping[str, Any]]:
    known = document.known
    if isinstance(known, str):
        try:
            known = json.loads(known)
        except ValueError:
            raise UnreadableError("no JSON") from None
    statements = known.get("Statement") if isinstance(known, Mapping) else None
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list) or not all(isinstance(each, Mapping) for each in statements):
        raise UnreadableError("no statements")
    yield from statements


def _texts(given: Any) -> list[str]:
    return [str(each) for each in given] if isinstance(given, list) else [str(given)] if given else []


def _granting_action(statement: Mapping[str, Any]) -> str | None:
    for action in _texts(statement.get("Action")):
        if fnmatchcase(ACTION, action.lower()):
            return action
    if "NotAction" in statement:
        excluded = _texts(statement["NotAction"])
        if not any(fnmatchcase(ACTION, action.lower()) for action in excluded):
            return "NotAction"
    return None


def _service(arn: str) -> str:
    parts = arn.split(":")
    return parts[2] if len(parts) > 2 else "*"


def _may_be_a_database(resource: str) -> bool:
    """Whether a resource, as it is written, can match a database user at all."""
    if resource in ("*", "NotResource"):
        return True
    return resource.startswith("*") or fnmatchcase("rds-db", _service(resource))
