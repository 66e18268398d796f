"""SNS topics, which carry alarms and RDS events."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_be, must_be_given, must_not_be
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.policy_document import in_policy, not_everybody, rejects_plain_text

TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
_GUIDE = "https://docs.aws.amazon.com/sns/latest/dg"


def _tls_only(topic: Resource, stack: Stack) -> Iterator[Outcome]:
    policies = [each["policy"] for each in stack.referring(TOPIC_POLICY, "arn", topic)]
    policies = [each for each in (*policies, topic["policy"]) if each.given]
    if not policies:
        yield Problem(at=topic["policy"], reason="expected a policy that denies publishing without TLS")
    for policy in policies:
        arn = topic["arn"]
        holders = [arn.text()] if arn.is_known and arn.given else []
        yield from rejects_plain_text(policy, actions=("sns:Publish",), holders=holders)


RULES = (
    Rule(
        id="PGTLS-P165",
        title="Topics are encrypted",
        area=Area.ENCRYPTION,
        severity=Severity.MEDIUM,
        types=(TOPIC,),
        checks=(must_be_given("kmsMasterKeyId", "expected a key"),),
        why="Alarms and events name servers and users.",
        fix="set kmsMasterKeyId to a KMS key that the publishing services may use",
        link=f"{_GUIDE}/sns-server-side-encryption.html",
        references=("SH:SNS.1", "CKV_AWS_26"),
    ),
    Rule(
        id="PGTLS-P166",
        title="Topics accept messages over TLS only",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(TOPIC,),
        stack_checks=(_tls_only,),
        why="SNS also accepts requests without TLS.",
        fix="add a statement that denies Principal * sns:Publish where aws:SecureTransport is false",
        link=f"{_GUIDE}/sns-security-best-practices.html",
    ),
    Rule(
        id="PGTLS-P167",
        title="Topic policies name who may use the topic",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(TOPIC_POLICY, TOPIC),
        checks=(in_policy(not_everybody, unreadable=True),),
        why="Everybody could read alarms or send false ones.",
        fix="list the principals, or add a condition on aws:SourceAccount",
        link=f"{_GUIDE}/sns-access-policy-use-cases.html",
        references=("SH:SNS.4",),
    ),
    Rule(
        id="PGTLS-P168",
        title="Topics deliver messages over TLS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(SUBSCRIPTION,),
        checks=(must_not_be("protocol", "http", expected="expected https"),),
        why="Alarms and events could be read and forged on their way.",
        fix="set protocol to https",
        link=f"{_GUIDE}/sns-security-best-practices.html",
    ),
    Rule(
        id="PGTLS-P169",
        title="Topics sign messages with SHA-256",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(TOPIC,),
        checks=(must_be("signatureVersion", "2"),),
        why="Signature version 1 uses SHA-1.",
        fix="set signatureVersion to 2",
        link=f"{_GUIDE}/sns-verify-signature-of-message.html",
    ),
)
