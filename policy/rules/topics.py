"""Topics of SNS, which carry alarms and events of RDS."""

from __future__ import annotations

from collections.abc import Iterator

from policy.policy_document import Statement, UnreadableError, allowing, denies_plain_text
from policy.registered import Resource, Stack
from policy.requirement import must_be, must_not_be
from policy.rule import Area, Outcome, Problem, Rule, Severity

TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
_GUIDE = "https://docs.aws.amazon.com/sns/latest/dg"
_OWNERS = (
    "aws:sourceowner",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:principalorgid",
    "aws:principalaccount",
)


def _tls_only(topic: Resource, stack: Stack) -> Iterator[Outcome]:
    policies = [each["policy"] for each in stack.referring(TOPIC_POLICY, "arn", topic)]
    policies = [each for each in (*policies, topic["policy"]) if each.given]
    if not policies:
        yield Problem(at=topic["policy"], reason="expected one that denies publishing without TLS")
    for policy in policies:
        try:
            if not denies_plain_text(policy):
                yield Problem(
                    at=policy, reason="no statement denies what comes with aws:SecureTransport false"
                )
        except UnreadableError as error:
            yield Problem(at=policy, reason=f"it cannot be read as a policy document: {error}")


def _names_principals(resource: Resource) -> Iterator[Outcome]:
    def judge(statement: Statement) -> Iterator[Outcome]:
        keys = {key for _, key, _ in statement.conditions()}
        for principal in statement.principals:
            if principal.text() == "*" and not keys & set(_OWNERS):
                yield Problem(at=principal, reason="expected principals, or a condition on the account")

    if resource["policy"].given:
        yield from allowing(resource["policy"], judge, unreadable=True)


RULES = (
    Rule(
        id="PGTLS-P166",
        title="A topic takes messages over TLS only",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(TOPIC,),
        stack_checks=(_tls_only,),
        why="SNS answers without TLS too.",
        fix="deny Principal * sns:Publish where aws:SecureTransport is false",
        link=f"{_GUIDE}/sns-security-best-practices.html",
    ),
    Rule(
        id="PGTLS-P167",
        title="A topic's policy names who may use it",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(TOPIC_POLICY, TOPIC),
        checks=(_names_principals,),
        why="Everybody could read alarms, or send false ones.",
        fix="name principals, or add a condition on aws:SourceAccount",
        link=f"{_GUIDE}/sns-access-policy-use-cases.html",
        references=("SH:SNS.4",),
    ),
    Rule(
        id="PGTLS-P168",
        title="Messages of a topic are delivered over TLS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(SUBSCRIPTION,),
        checks=(must_not_be("protocol", "http", expected="expected https"),),
        why="Alarms and events could be read and forged on the way.",
        fix="set protocol to https",
        link=f"{_GUIDE}/sns-security-best-practices.html",
    ),
    Rule(
        id="PGTLS-P169",
        title="Messages of a topic are signed with SHA-256",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(TOPIC,),
        checks=(must_be("signatureVersion", "2"),),
        why="Version 1 signs with SHA-1.",
        fix="set signatureVersion to 2",
        link=f"{_GUIDE}/sns-verify-signature-of-message.html",
    ),
)
