"""Buckets: not public, TLS only, owned by one account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from policy.policy_document import Statement, UnreadableError, allowing, denies_plain_text
from policy.registered import Resource, Stack
from policy.requirement import must_be_true, must_not_be
from policy.rule import Area, Outcome, Problem, Rule, Severity

BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BUCKET_ACL = "aws:s3/bucketAcl:BucketAcl"
_GUIDE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"
_PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read", "aws-exec-read")
_SENSITIVE = (
    "s3:deletebucketpolicy",
    "s3:putbucketacl",
    "s3:putbucketpolicy",
    "s3:putencryptionconfiguration",
    "s3:putobjectacl",
)
_BLOCKS = (
    ("P112", "blockPublicAcls", "New lists of rights that are public are refused"),
    ("P113", "blockPublicPolicy", "New policies that are public are refused"),
    ("P114", "ignorePublicAcls", "Lists of rights that are public have no effect"),
    ("P115", "restrictPublicBuckets", "A bucket with a public policy is closed to other accounts"),
)


def _companion(token: str, what: str, bucket: Resource, stack: Stack) -> Iterator[Outcome]:
    if not stack.referring(token, "bucket", bucket):
        yield Problem(at=bucket["bucket"], reason=f"expected {what}")


def _owner_enforced(bucket: Resource, stack: Stack) -> Iterator[Outcome]:
    yield from _companion(OWNERSHIP, "BucketOwnershipControls for this bucket", bucket, stack)
    for controls in stack.referring(OWNERSHIP, "bucket", bucket):
        value = controls["rule"].at("objectOwnership")
        if value.text() != "BucketOwnerEnforced":
            yield Problem(
                at=value.renamed(f"{controls.name}.{value.path}"),
                reason="expected BucketOwnerEnforced",
            )


def _tls_only(bucket: Resource, stack: Stack) -> Iterator[Outcome]:
    policies = stack.referring(BUCKET_POLICY, "bucket", bucket)
    if not policies:
        yield Problem(at=bucket["bucket"], reason="expected a BucketPolicy that denies requests without TLS")
    for policy in policies:
        try:
            if not denies_plain_text(policy["policy"]):
                yield Problem(
                    at=policy["policy"].renamed(f"{policy.name}.policy"),
                    reason="no statement denies everybody what comes with aws:SecureTransport false",
                )
        except UnreadableError as error:
            yield Problem(at=policy["policy"], reason=f"it cannot be read as a policy: {error}")


def _nobody_in_particular(statement: Statement) -> Iterator[Outcome]:
    if not statement.condition.given:
        for principal in statement.principals:
            if principal.text() == "*":
                yield Problem(at=principal, reason="expected principals by name, or a condition")


def _every_action(statement: Statement) -> Iterator[Outcome]:
    for action in statement.actions:
        if action.text().lower() in ("*", "s3:*"):
            yield Problem(at=action, reason="expected the actions that are needed")


def _account(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 else arn if arn.isdigit() else ""


def _to_another_account(policy: Resource, stack: Stack) -> Iterator[Outcome]:
    owners = {
        _account(each["arn"].text())
        for each in stack.of_types(("aws:iam/role:Role",))
        if each["arn"].is_known
    } - {""}

    def judge(statement: Statement) -> Iterator[Outcome]:
        actions = [each for each in statement.actions if each.text().lower() in _SENSITIVE]
        for principal in statement.principals_of("AWS"):
            account = _account(principal.text())
            if actions and account and owners and account not in owners:
                yield Problem(at=principal, reason=f"another account may {actions[0].text()}")

    yield from allowing(policy["policy"], judge)


def _document(
    judge: Callable[[Statement], Iterator[Outcome]], policy: Resource, *, unreadable: bool = False
) -> Iterator[Outcome]:
    yield from allowing(policy["policy"], judge, unreadable=unreadable)


RULES = (
    *(
        Rule(
            id=f"PGTLS-{number}",
            title=title,
            area=Area.NETWORK,
            severity=Severity.HIGH,
            types=(BLOCK,),
            checks=(must_be_true(name),),
            why="One mistake in a policy or a list would make the bucket public.",
            fix=f"set {name} to true",
            link=f"{_GUIDE}/access-control-block-public-access.html",
            references=("SH:S3.8", "CIS5:2.1.4"),
        )
        for number, name, title in _BLOCKS
    ),
    Rule(
        id="PGTLS-P116",
        title="A bucket has a public access block of its own",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(BUCKET,),
        stack_checks=(partial(_companion, BLOCK, "a BucketPublicAccessBlock for this bucket"),),
        why="Whether the account blocks public access is decided elsewhere.",
        fix="add a BucketPublicAccessBlock with all four set to true",
        link=f"{_GUIDE}/access-control-block-public-access.html",
        references=("SH:S3.8",),
    ),
    Rule(
        id="PGTLS-P123",
        title="A bucket is reached over TLS only",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(BUCKET,),
        stack_checks=(_tls_only,),
        why="S3 answers without TLS too.",
        fix="deny Principal * every action where aws:SecureTransport is false",
        link=f"{_GUIDE}/security-best-practices.html",
        references=("SH:S3.5", "CIS5:2.1.1"),
    ),
    Rule(
        id="PGTLS-P124",
        title="A bucket's policy lets nobody in whom it does not name",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(BUCKET_POLICY,),
        checks=(partial(_document, _nobody_in_particular, unreadable=True),),
        why="Principal * is everybody in the world.",
        fix="name the principals",
        link=f"{_GUIDE}/security-best-practices.html",
    ),
    Rule(
        id="PGTLS-P125",
        title="A bucket's policy names the actions that it allows",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(BUCKET_POLICY,),
        checks=(partial(_document, _every_action),),
        why="Every action includes making the bucket public.",
        fix="name the actions that are needed",
        link=f"{_GUIDE}/security-best-practices.html",
    ),
    Rule(
        id="PGTLS-P126",
        title="A bucket's policy gives no other account power over the bucket",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(BUCKET_POLICY,),
        stack_checks=(_to_another_account,),
        why="The other account could open or close the bucket.",
        fix="grant other accounts reading and writing of objects at most",
        link=f"{_GUIDE}/security-best-practices.html",
        references=("SH:S3.6",),
    ),
    Rule(
        id="PGTLS-P128",
        title="All objects of a bucket belong to its owner",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(BUCKET,),
        stack_checks=(_owner_enforced,),
        why="Lists of rights on single objects go around the policy.",
        fix="add BucketOwnershipControls with BucketOwnerEnforced",
        link=f"{_GUIDE}/about-object-ownership.html",
        references=("SH:S3.12",),
    ),
    Rule(
        id="PGTLS-P129",
        title="A bucket's list of rights is not public",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(BUCKET_ACL, BUCKET),
        checks=(must_not_be("acl", *_PUBLIC_ACLS, expected="expected private"),),
        why="Everybody could read the objects.",
        fix="remove the acl, and set BucketOwnerEnforced",
        link=f"{_GUIDE}/acl-overview.html",
        references=("SH:S3.2", "SH:S3.3"),
    ),
)
