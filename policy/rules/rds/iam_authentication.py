"""IAM authentication: `rds-db:connect` names one server and one user, never the master user."""

from __future__ import annotations

from collections.abc import Iterator

from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear
from policy.rules.rds.connect_grants import HOLDERS, documents, grants
from policy.rules.rds.resource_types import MASTERS, is_postgresql
from policy.text.policy_document import UnreadableError
from policy.values import TextPlace, UndecidedError

_GRANT_LINK = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html"
# The usual master user, RDS's own superuser, and its role for master users.
_POWERFUL = ("postgres", "rdsadmin", "rds_superuser")
_FORM = "arn:<partition>:rds-db:<region>:<account>:dbuser:<DbiResourceId>/<user>"


def _names_everything(resource: Resource) -> Iterator[Outcome]:
    for document in documents(resource):
        try:
            for grant in grants(document):
                if not grant.names_the_action:
                    yield Problem(at=grant.action, reason="expected rds-db:connect as an action of its own")
                elif grant.exact is None:
                    yield Problem(at=grant.resource, reason=f"expected {_FORM}")
        except UnreadableError as error:
            yield Problem(
                at=TextPlace(path=document.path), reason=f"it is not a valid policy document: {error}"
            )
        except UndecidedError as error:
            yield Unclear.of(error)


def _never_the_master(resource: Resource, stack: Stack) -> Iterator[Outcome]:
    masters: set[str] = set()
    hidden: list[str] = []
    for token, name in MASTERS.items():
        for server in stack.of_types((token,)):
            if not server[name].is_known:
                hidden.append(server.name)
            elif server[name].given and is_postgresql(server):
                masters.add(server[name].text())
    for document in documents(resource):
        granted = False
        try:
            for grant in grants(document):
                granted = True
                if grant.user in masters:
                    yield Problem(at=grant.resource, reason="it is the master user; expected another user")
                elif grant.user.lower() in _POWERFUL:
                    yield Problem(at=grant.resource, reason="it is a superuser; expected another user")
        except UnreadableError:
            continue  # N46 reports it
        except UndecidedError as error:
            yield Unclear.of(error)
        if granted and hidden:
            yield Unclear(why=f"the master user of {', '.join(hidden)} is not known before the update")


RULES = (
    Rule(
        id="PGTLS-N46",
        title="rds-db:connect names region, account, resource id and user without wildcards",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=HOLDERS,
        checks=(_names_everything,),
        why="A wildcard lets an application log in as other database users or to other servers.",
        fix=f"use Action rds-db:connect and one Resource per user: {_FORM}",
        link=_GRANT_LINK,
    ),
    Rule(
        id="PGTLS-N47",
        title="rds-db:connect is not granted for the master user or a superuser",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=HOLDERS,
        stack_checks=(_never_the_master,),
        why="The master user owns every database, and its password stops working once it has rds_iam.",
        fix="grant rds-db:connect for a database role that is not the master user",
        link=_GRANT_LINK,
    ),
)
