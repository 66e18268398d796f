"""SQS queues: who may use them, and over TLS only."""

from __future__ import annotations

from collections.abc import Iterator

from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.policy_document import in_policy, not_everybody, rejects_plain_text

QUEUE = "aws:sqs/queue:Queue"
QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
_GUIDE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide"


def _tls_only(queue: Resource, stack: Stack) -> Iterator[Outcome]:
    policies = [each["policy"] for each in stack.referring(QUEUE_POLICY, "queueUrl", queue)]
    policies = [each for each in (*policies, queue["policy"]) if each.given]
    if not policies:
        yield Problem(at=queue["policy"], reason="expected a policy that denies requests without TLS")
    arn = queue["arn"]
    holders = [arn.text()] if arn.is_known and arn.given else []
    for policy in policies:
        yield from rejects_plain_text(
            policy, actions=("sqs:SendMessage", "sqs:ReceiveMessage"), holders=holders
        )


RULES = (
    Rule(
        id="PGTLS-N117",
        title="Queue policies name who may use the queue",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(QUEUE, QUEUE_POLICY),
        checks=(in_policy(not_everybody, unreadable=True),),
        why="Everybody could read messages or send false ones.",
        fix="list the principals, or add a condition on aws:SourceArn of one's own account",
        link=f"{_GUIDE}/sqs-basic-examples-of-sqs-policies.html",
        references=("SH:SQS.3",),
    ),
    Rule(
        id="PGTLS-N118",
        title="Queues accept requests over TLS only",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(QUEUE,),
        stack_checks=(_tls_only,),
        why="SQS also accepts requests without TLS.",
        fix="add a statement that denies Principal * sqs:* where aws:SecureTransport is false",
        link=f"{_GUIDE}/sqs-security-best-practices.html",
    ),
)
