"""Who may log in by IAM: one server, one database user, never the master."""

from __future__ import annotations

from collections.abc import Iterator

from policy.connect_grants import HOLDERS, documents, grants
from policy.policy_document import UnreadableError
from policy.registered import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear
from policy.rules.rds_servers import MASTERS, is_postgresql
from policy.values import UndecidedError

_GRANT_LINK = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html"
_FORM = "arn:<partition>:rds-db:<region>:<account>:dbuser:<DbiResourceId>/<user>"


def _names_everything(resource: Resource) -> Iterator[Outcome]:
    for document in documents(resource):
        try:
            for grant in grants(document):
                if not grant.names_the_action:
                    yield Problem(at=grant.action, reason="expected rds-db:connect alone")
                elif grant.exact is None:
                    yield Problem(at=grant.resource, reason=f"expected {_FORM}")
        except UnreadableError as error:
            yield Problem(at=document, reason=f"it cannot be read as a policy document: {error}")
        except UndecidedError as error:
            yield Unclear(why=f"{error}; it is checked again in the update, before the resource is made")


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
                    yield Problem(at=grant.resource, reason="expected any user but the master")
        except UnreadableError:
            continue  # that is N46
        except UndecidedError as error:
            yield Unclear(why=f"{error}; it is checked again at the end of the update")
        if granted and hidden:
            yield Unclear(why=f"the master user of {', '.join(hidden)} is not known before the update")


RULES = (
    Rule(
        id="PGTLS-N46",
        title="rds-db:connect names region, account, resource id and user, without wildcards",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=HOLDERS,
        checks=(_names_everything,),
        why="A wildcard lets an application log in as any database user, or to any server of the account.",
        fix=f"write Action rds-db:connect and one Resource per user: {_FORM}",
        link=_GRANT_LINK,
    ),
    Rule(
        id="PGTLS-N47",
        title="rds-db:connect is never for the master user",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=HOLDERS,
        stack_checks=(_never_the_master,),
        why="The master owns every database; and with rds_iam granted to it, its password stops working.",
        fix="grant rds-db:connect for a database role of its own instead",
        link=_GRANT_LINK,
    ),
)
