"""Conditions of policies that no request can meet."""

from __future__ import annotations

from collections.abc import Iterator

from policy.conditions import unsatisfiable_keys
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules import ecr, kms, s3, secretsmanager, sns, sqs
from policy.rules.rds.connect_grants import HOLDERS, documents
from policy.text.policy_document import Statement, UnreadableError, in_statements
from policy.type_tokens import IAM_ROLE
from policy.values import Value, throughout

_OF_RESOURCES = (
    kms.KEY,
    kms.KEY_POLICY,
    s3.BUCKET_POLICY,
    secretsmanager.SECRET,
    secretsmanager.SECRET_POLICY,
    sns.TOPIC,
    sns.TOPIC_POLICY,
    sqs.QUEUE,
    sqs.QUEUE_POLICY,
    ecr.REPOSITORY_POLICY,
)


def _documents(resource: Resource) -> Iterator[Value]:
    if resource.type == IAM_ROLE:
        yield resource["assumeRolePolicy"]
    yield from documents(resource) if resource.type in HOLDERS else [resource["policy"]]


def _never_met(resource: Resource) -> Iterator[Outcome]:
    def of_statement(statement: Statement) -> Iterator[Outcome]:
        for key in unsatisfiable_keys(statement.conditions):
            yield Problem(at=statement.condition, reason=f"no request can meet the conditions on {key}")

    def of_document(document: Value) -> Iterator[Outcome]:
        try:
            if document.given:
                yield from in_statements(document, of_statement, resource.owned)
        except UnreadableError:
            return  # the rules about what the policy allows report it

    yield from throughout(_documents(resource), of_document)


RULES = (
    Rule(
        id="PGTLS-N110",
        title="Conditions of policies can be met",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(*HOLDERS, *_OF_RESOURCES),
        checks=(_never_met,),
        why="The statement has no effect: what it denies stays allowed, or what it allows fails.",
        fix="use an operator that reads wildcards (StringLike, ArnLike), or correct the values",
        link="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html",
    ),
)
