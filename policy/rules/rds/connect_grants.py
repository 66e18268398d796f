"""`rds-db:connect` in the policy documents of a stack: who may log in to which database by IAM."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from policy.resources import Resource
from policy.text.policy_document import UnreadableError, statement_values
from policy.type_tokens import IAM_ROLE
from policy.values import UndecidedError, Value, throughout

ACTION = "rds-db:connect"
DOCUMENTS = (
    "aws:iam/policy:Policy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/groupPolicy:GroupPolicy",
)
PERMISSION_SET_POLICY = "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy"
HOLDERS = (*DOCUMENTS, PERMISSION_SET_POLICY, IAM_ROLE)

_EXACT = re.compile(
    r"arn:aws(?:-[a-z]+)*:rds-db:[a-z]{2,}(?:-[a-z]+)+-[0-9]+:[0-9]{12}:"
    r"dbuser:(?P<server>(?:db|cluster)-[A-Z0-9]+|prx-[a-z0-9]+)/(?P<user>[^*?]+)"
)
_VARIABLE = "${"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One resource of an `Allow` statement whose actions include `rds-db:connect`.

    Attributes:
        action: The element of `Action` that includes it, or the whole of `NotAction`.
        resource: One element of `Resource`, or the whole of `NotResource`.
        all_actions_but: Whether `action` is `NotAction`.
        all_resources_but: Whether `resource` is `NotResource`.
    """

    action: Value
    resource: Value
    all_actions_but: bool = False
    all_resources_but: bool = False

    @property
    def names_the_action(self) -> bool:
        """Whether the action is exactly rds-db:connect."""
        return not self.all_actions_but and self.action.text().lower() == ACTION

    @property
    def exact(self) -> re.Match[str] | None:
        """The resource's parts where it names one server and one user in one account and region."""
        written = "" if self.all_resources_but else self.resource.text()
        return None if _VARIABLE in written else _EXACT.fullmatch(written)

    @property
    def user(self) -> str:
        """The database user as written; empty where the resource names none."""
        _, slash, user = self.resource.text().rpartition("/")
        return user if slash and not self.all_resources_but else ""

    def covers(self, server: str) -> bool:
        """Whether it grants access to the server with this resource id."""
        if self.all_resources_but:
            return True
        start, found, rest = self.resource.text().partition(":dbuser:")
        if not found:
            return _may_be_a_database(self.resource.text())
        return fnmatchcase("rds-db", _service(start)) and fnmatchcase(server, rest.partition("/")[0])


def documents(resource: Resource) -> Iterator[Value]:
    """The policy documents of a resource."""
    if resource.type != IAM_ROLE:
        yield resource["inlinePolicy" if resource.type == PERMISSION_SET_POLICY else "policy"]
        return
    for inline in resource["inlinePolicies"].items():
        document = inline.at("policy") if inline.is_known else inline
        if document.given:
            yield document


def grants(document: Value) -> Iterator[Grant]:
    """The grants of `rds-db:connect` in a document; an unknown value is raised after all that are known.

    Raises:
        UndecidedError: A value in the document is not known yet.
        UnreadableError: It is not a policy document.
    """
    yield from throughout(statement_values(document), _of_statement)


@lru_cache(maxsize=4096)
def known_grants(holder: Resource) -> tuple[tuple[Grant, ...], bool]:
    """The known grants of a resource, and whether there are values in it that are not known."""
    found: list[Grant] = []
    try:
        for document in documents(holder):
            # `grants` raises last, so all known grants are kept.
            found.extend(grants(document))
    except UndecidedError:
        return tuple(found), True
    except UnreadableError:
        return tuple(found), False
    return tuple(found), False


def _of_statement(statement: Value) -> Iterator[Grant]:
    if not isinstance(statement.known, Mapping):
        raise UnreadableError(f"{statement.path} is not an object")
    effect = statement.at("Effect").text().lower()
    if effect not in ("allow", "deny"):
        raise UnreadableError(f"{statement.path} neither allows nor denies")
    if effect == "deny":
        return
    action, resources = _granting_action(statement), statement.at("Resource")
    if action is None:
        return
    all_actions_but = action.path.endswith(".NotAction")
    if statement.at("NotResource").given:
        yield Grant(
            action=action,
            resource=statement.at("NotResource"),
            all_actions_but=all_actions_but,
            all_resources_but=True,
        )
    elif not resources.given:
        raise UnreadableError(f"{statement.path} has no Resource")

    def of_resource(resource: Value) -> Iterator[Grant]:
        grant = Grant(action=action, resource=resource, all_actions_but=all_actions_but)
        if _may_be_a_database(resource.text()) or grant.names_the_action:
            yield grant

    yield from throughout(resources.items(), of_resource)


def _granting_action(statement: Value) -> Value | None:
    actions, excluded = statement.at("Action"), statement.at("NotAction")
    if not actions.given and not excluded.given:
        raise UnreadableError(f"{statement.path} has no Action")
    if excluded.given and not any(_includes_the_action(each) for each in excluded.items()):
        return excluded
    hidden: Value | None = None
    for each in actions.items():
        if not each.is_known:
            hidden = each
        elif _includes_the_action(each):
            return each
    if hidden is not None:
        raise UndecidedError(f"{hidden.path} is not known before the update, and could be {ACTION}")
    return None


def _includes_the_action(written: Value) -> bool:
    return fnmatchcase(ACTION, written.text().lower())


def _service(arn: str) -> str:
    parts = arn.split(":")
    return parts[2] if len(parts) > 2 else "*"


def _may_be_a_database(resource: str) -> bool:
    """Whether a resource, as written, can match a database user."""
    return resource.startswith("*") or fnmatchcase("rds-db", _service(resource))
