"""S3 buckets: not public, TLS only, owned by one account."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_be_true, must_not_be, stated_or_default
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.policy_document import (
    Statement,
    UnreadableError,
    allowing,
    in_policy,
    not_everybody,
    rejects_plain_text,
    statement_values,
)
from policy.type_tokens import IAM_ROLE
from policy.values import Value, throughout

BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_ACL = "aws:s3/bucketAcl:BucketAcl"
_GUIDE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"
_PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "aws-eusc")
_PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read", "aws-exec-read")
_SENSITIVE = (
    "s3:deletebucketpolicy",
    "s3:putbucketacl",
    "s3:putbucketpolicy",
    "s3:putencryptionconfiguration",
    "s3:putobjectacl",
)
_BLOCKS = (
    ("P112", "blockPublicAcls", "New public ACLs are refused"),
    ("P113", "blockPublicPolicy", "New public bucket policies are refused"),
    ("P114", "ignorePublicAcls", "Public ACLs have no effect"),
    ("P115", "restrictPublicBuckets", "Buckets with a public policy are closed to other accounts"),
)


def _has_a_block(bucket: Resource, stack: Stack) -> Iterator[Outcome]:
    if not stack.referring(BLOCK, "bucket", bucket):
        yield Problem(
            at=bucket["bucket"],
            reason="expected a BucketPublicAccessBlock for this bucket; "
            "S3 blocks public access to a new bucket (since April 2023), until somebody turns that off",
            severity=Severity.LOW,
        )


def _owner_enforced(bucket: Resource, stack: Stack) -> Iterator[Outcome]:
    # Without controls S3 enforces the owner of a bucket made since April 2023 (policy.defaults).
    for controls in stack.referring(OWNERSHIP, "bucket", bucket):
        value = stated_or_default(controls, controls["rule"].at("objectOwnership"))
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
        yield from rejects_plain_text(
            policy["policy"].renamed(f"{policy.name}.policy"),
            actions=("s3:*",),
            holders=_arns(bucket),
            parts=("", "/*"),
        )


def _arns(bucket: Resource) -> list[str]:
    """The ARNs that the bucket can have; none where its name is not known yet."""
    if bucket["arn"].is_known and bucket["arn"].given:
        return [bucket["arn"].text()]
    name = bucket["bucket"]
    if not name.is_known or not name.given:
        return []
    return [f"arn:{partition}:s3:::{name.text()}" for partition in _PARTITIONS]


def _every_action(statement: Statement) -> Iterator[Outcome]:
    for action in statement.actions:
        if action.text().lower() in ("*", "s3:*"):
            yield Problem(at=action, reason="expected a list of actions")


def _account(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 else arn if arn.isdigit() else ""


def _to_another_account(policy: Resource, stack: Stack) -> Iterator[Outcome]:
    owners = {
        _account(each["arn"].text()) for each in stack.of_types((IAM_ROLE,)) if each["arn"].is_known
    } - {""}

    def judge(statement: Statement) -> Iterator[Outcome]:
        actions = [each for each in statement.actions if each.text().lower() in _SENSITIVE]
        for principal in statement.principals_of("AWS"):
            account = _account(principal.text())
            if actions and account and owners and account not in owners:
                yield Problem(at=principal, reason=f"it is another account, and may {actions[0].text()}")

    yield from allowing(policy["policy"], judge, policy.owned)


def _names_principals(policy: Resource) -> Iterator[Outcome]:
    # A BucketPolicy without a policy is reported as well.
    yield from allowing(policy["policy"], not_everybody, policy.owned, unreadable=True)


def _is_versioned(bucket: Resource, stack: Stack) -> Iterator[Outcome]:
    versionings = stack.referring(VERSIONING, "bucket", bucket)
    of_its_own = bucket["versioning"].at("enabled")
    if not versionings and of_its_own.truth() is not True:
        yield Problem(at=bucket["bucket"], reason="expected a BucketVersioning for this bucket")
    for each in versionings:
        status = each["versioningConfiguration"].at("status")
        if status.text().lower() != "enabled":
            yield Problem(at=status.renamed(f"{each.name}.{status.path}"), reason="expected Enabled")


def _keys_of_buckets(encryption: Resource) -> Iterator[Outcome]:
    for rule in encryption["rules"].items():
        algorithm = rule.at("applyServerSideEncryptionByDefault").at("sseAlgorithm").text().lower()
        enabled = rule.at("bucketKeyEnabled")
        if algorithm == "aws:kms" and enabled.truth() is not True:
            yield Problem(at=enabled, reason="expected true")


def _locks_out(policy: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        statement = Statement(place=value)
        everybody = any(each.text() == "*" for each in statement.principals)
        everything = [each for each in statement.actions if each.text().lower() in ("*", "s3:*")]
        if everybody and everything and not statement.allows and not statement.condition.raw:
            yield Problem(at=everything[0], reason="expected a condition; only root could undo it")

    try:
        yield from throughout(statement_values(policy["policy"]), judge)
    except UnreadableError:
        return  # PGTLS-P124 reports it


def _cleans_up(lifecycle: Resource) -> Iterator[Outcome]:
    rules = lifecycle["rules"]
    if not any(each.at("abortIncompleteMultipartUpload").given for each in rules.items()):
        yield Problem(at=rules, reason="expected a rule with abortIncompleteMultipartUpload")


def _at_rest(encryption: Resource) -> Iterator[Outcome]:
    for rule in encryption["rules"].items():
        value = rule.at("applyServerSideEncryptionByDefault").at("sseAlgorithm")
        if value.text().lower() not in ("", "aes256", "aws:kms", "aws:kms:dsse"):
            yield Problem(at=value, reason="expected AES256 or aws:kms")


RULES = (
    Rule(
        id="PGTLS-P117",
        title="Buckets are encrypted by an algorithm that S3 has",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(ENCRYPTION,),
        # A bucket that states nothing has been encrypted by S3 since 2023.
        checks=(_at_rest,),
        why="S3 refuses another value in the middle of an update.",
        fix="set sseAlgorithm to aws:kms or AES256",
        link=f"{_GUIDE}/default-bucket-encryption.html",
        references=("SH:S3.17", "CKV_AWS_19"),
    ),
    Rule(
        id="PGTLS-P127",
        title="Bucket policies do not lock everybody out",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(BUCKET_POLICY,),
        checks=(_locks_out,),
        why="The deployer, too, is refused, and only the root user can remove the policy.",
        fix="add a condition to the denial, or remove it",
        link=f"{_GUIDE}/troubleshoot-403-errors.html",
        references=("CKV_AWS_93",),
    ),
    Rule(
        id="PGTLS-P130",
        title="Life cycles of buckets remove uploads that were not finished",
        area=Area.ENCRYPTION,
        severity=Severity.LOW,
        types=(LIFECYCLE,),
        checks=(_cleans_up,),
        why="Their parts stay, hidden from every list, and cost money.",
        fix="add a rule with abortIncompleteMultipartUpload",
        link=f"{_GUIDE}/mpu-abort-incomplete-mpu-lifecycle-config.html",
        references=("SH:S3.13", "CKV_AWS_300"),
    ),
    Rule(
        id="PGTLS-P119",
        title="Buckets under a KMS key have a bucket key",
        area=Area.ENCRYPTION,
        severity=Severity.LOW,
        types=(ENCRYPTION,),
        checks=(_keys_of_buckets,),
        why="Otherwise every object costs a request to KMS, which has a limit.",
        fix="set rules[].bucketKeyEnabled to true",
        link=f"{_GUIDE}/bucket-key.html",
    ),
    Rule(
        id="PGTLS-P120",
        title="Buckets keep versions",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(BUCKET,),
        stack_checks=(_is_versioned,),
        why="What was overwritten or deleted, by mistake or by an attacker, cannot be restored.",
        fix="add a BucketVersioning with status Enabled",
        link=f"{_GUIDE}/Versioning.html",
        references=("SH:S3.14", "CKV_AWS_21"),
    ),
    *(
        Rule(
            id=f"PGTLS-{number}",
            title=title,
            area=Area.NETWORK,
            severity=Severity.HIGH,
            types=(BLOCK,),
            checks=(must_be_true(name),),
            why="Otherwise one mistake in a policy or an ACL makes the bucket public.",
            fix=f"set {name} to true",
            link=f"{_GUIDE}/access-control-block-public-access.html",
            references=("SH:S3.8", "CIS5:2.1.4"),
        )
        for number, name, title in _BLOCKS
    ),
    Rule(
        id="PGTLS-P116",
        title="Every bucket has a public access block",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(BUCKET,),
        stack_checks=(_has_a_block,),
        why="S3's default and the account's own setting are managed elsewhere and can change.",
        fix="add a BucketPublicAccessBlock with all four settings true",
        link=f"{_GUIDE}/access-control-block-public-access.html",
        references=("SH:S3.8",),
    ),
    Rule(
        id="PGTLS-P123",
        title="Buckets accept requests over TLS only",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(BUCKET,),
        stack_checks=(_tls_only,),
        why="S3 also accepts requests without TLS.",
        fix="add a statement that denies Principal * every action where aws:SecureTransport is false",
        link=f"{_GUIDE}/security-best-practices.html",
        references=("SH:S3.5", "CIS5:2.1.1"),
    ),
    Rule(
        id="PGTLS-P124",
        title="Bucket policies allow named principals only",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(BUCKET_POLICY,),
        checks=(_names_principals,),
        why="Principal * means everybody on the internet.",
        fix="list the principals",
        link=f"{_GUIDE}/security-best-practices.html",
    ),
    Rule(
        id="PGTLS-P125",
        title="Bucket policies list the allowed actions",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(BUCKET_POLICY,),
        checks=(in_policy(_every_action),),
        why="s3:* includes making the bucket public.",
        fix="list the actions that are needed",
        link=f"{_GUIDE}/security-best-practices.html",
    ),
    Rule(
        id="PGTLS-P126",
        title="Bucket policies give other accounts no control over the bucket",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(BUCKET_POLICY,),
        stack_checks=(_to_another_account,),
        why="The other account could open the bucket, or lock its owner out.",
        fix="grant other accounts no more than reading and writing objects",
        link=f"{_GUIDE}/security-best-practices.html",
        references=("SH:S3.6",),
    ),
    Rule(
        id="PGTLS-P128",
        title="The bucket's owner owns all of its objects",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(BUCKET,),
        stack_checks=(_owner_enforced,),
        why="Object ACLs bypass the bucket policy.",
        fix="add BucketOwnershipControls with BucketOwnerEnforced",
        link=f"{_GUIDE}/about-object-ownership.html",
        references=("SH:S3.12",),
    ),
    Rule(
        id="PGTLS-P129",
        title="Bucket ACLs are not public",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(BUCKET_ACL, BUCKET),
        checks=(must_not_be("acl", *_PUBLIC_ACLS, expected="expected private"),),
        why="Everybody could read the objects.",
        fix="remove the acl and set BucketOwnerEnforced",
        link=f"{_GUIDE}/acl-overview.html",
        references=("SH:S3.2", "SH:S3.3"),
    ),
)
