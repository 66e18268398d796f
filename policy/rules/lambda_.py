"""Lambda functions: who may invoke them."""

from __future__ import annotations

from collections.abc import Iterator

from policy.conditions import Answer, Condition, admits_strangers, unsettled_owners
from policy.context_keys import OF_EVERYBODY
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear

PERMISSION = "aws:lambda/permission:Permission"
FUNCTION_URL = "aws:lambda/functionUrl:FunctionUrl"
_GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg"
# The properties that become conditions of the function's policy, as Lambda's AddPermission documents them.
_CONDITIONS = (
    ("sourceAccount", "StringEquals", "aws:sourceaccount"),
    ("sourceArn", "ArnLike", "aws:sourcearn"),
    ("principalOrgId", "StringEquals", "aws:principalorgid"),
)


def _not_everybody(permission: Resource) -> Iterator[Outcome]:
    if permission["principal"].text() != "*":
        return
    conditions = tuple(
        Condition(operator=operator, key=key, values=(value.text() if value.is_known else None,))
        for name, operator, key in _CONDITIONS
        if (value := permission[name]).given
    )
    answer = admits_strangers(conditions, OF_EVERYBODY, permission.owned)
    if answer is Answer.YES:
        yield Problem(
            at=permission["principal"],
            reason="expected a named principal, or sourceAccount, sourceArn or principalOrgId of one's own",
        )
    elif answer is Answer.UNDECIDED:
        owners = unsettled_owners(conditions, OF_EVERYBODY, permission.owned)
        known = f"whether {', '.join(owners)} is one's own" if owners else "the source"
        yield Unclear(why=f"{known} is not known", is_decided_later=not owners)


def _authenticates(url: Resource) -> Iterator[Outcome]:
    if url["authorizationType"].text().upper() == "NONE":
        yield Problem(at=url["authorizationType"], reason="expected AWS_IAM")


RULES = (
    Rule(
        id="PGTLS-N115",
        title="Functions can be invoked by named principals only",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(PERMISSION,),
        checks=(_not_everybody,),
        why="Every AWS account could run the function with the permissions of its role.",
        fix="name the principal, and set sourceArn or sourceAccount",
        link=f"{_GUIDE}/access-control-resource-based.html",
        references=("SH:Lambda.1",),
    ),
    Rule(
        id="PGTLS-N116",
        title="Function URLs authenticate their callers",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(FUNCTION_URL,),
        checks=(_authenticates,),
        why="Everybody on the internet could run the function with the permissions of its role.",
        fix="set authorizationType to AWS_IAM, or put a load balancer with client certificates before it",
        link=f"{_GUIDE}/urls-auth.html",
    ),
)
