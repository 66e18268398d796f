"""A versioned bucket that only named principals write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws import s3

from components import iam_documents
from settings.quotas import OBJECT_TAGS


def object_tags(tags: dict[str, str]) -> dict[str, str]:
    """Tags of an object: those of its bucket, or none where they are more than an object takes."""
    return {} if OBJECT_TAGS.excess(len(tags)) else tags


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What a service of AWS writes into a bucket.

    Attributes:
        service: Its principal, such as `logdelivery.elasticloadbalancing.amazonaws.com`.
        path: Where in the bucket; may end in `*`.
        source: ARN of the resource that it writes for; may end in `*`.
    """

    service: str
    path: pulumi.Input[str]
    source: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """Arguments of `PrivateBucket`.

    Attributes:
        writers: ARNs of the roles and users that may write, by path in the bucket; a path may end in
            `*`. Whoever runs `pulumi up` must be among those of each path that the program writes.
        deliveries: What services of AWS write; it may be all there is.
        retention_days: After how many days everything in it is deleted; None for never.
        disposable: Whether the bucket is deleted with its content, which fits what a deployment
            renders again.
        tags: Tags of every child.

    Raises:
        ValueError: A path has no writer, so that not even the program could write it.
    """

    writers: Mapping[str, Sequence[pulumi.Input[str]]]
    deliveries: Sequence[Delivery] = ()
    retention_days: int | None = None
    disposable: bool = True
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        for path, principals in self.writers.items():
            if not principals:
                raise ValueError(
                    f"writers: none for {path!r}; name at least the role or user that runs 'pulumi up' "
                    "(certificates.administrators in the stack file)"
                )


@final
@dataclass(frozen=True, kw_only=True)
class PrivateBucketResources:
    """Children of `PrivateBucket`; a `lifecycle` only where its content ends."""

    bucket: s3.Bucket
    versioning: s3.BucketVersioning
    policy: s3.BucketPolicy
    lifecycle: s3.BucketLifecycleConfiguration | None


class PrivateBucket(pulumi.ComponentResource):
    """`passwordless-postgres:index:PrivateBucket`: versioned, encrypted, not public, TLS only.

    Makes a `s3.Bucket` with ownership controls, public access block, versioning, encryption by SSE-S3
    and a bucket policy, and where its content ends a lifecycle. Objects in it depend on the
    component, so that their first version has an id.

    Attributes:
        id: Name of the bucket.
        arn: Its ARN.
        resources: The children.
    """

    id: pulumi.Output[str]
    arn: pulumi.Output[str]
    resources: PrivateBucketResources

    def __init__(
        self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the bucket."""
        super().__init__("passwordless-postgres:index:PrivateBucket", name, {}, opts)
        bucket = s3.Bucket(
            name,
            force_destroy=args.disposable,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.id,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        public_access = s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[
                s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=(
                        s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                            sse_algorithm="AES256"
                        )
                    )
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        versioning = s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.id,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        policy = s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.id,
            policy=pulumi.Output.all(
                bucket=bucket.arn,
                writers={path: list(who) for path, who in args.writers.items()},
                deliveries=[
                    {"service": each.service, "path": each.path, "source": each.source}
                    for each in args.deliveries
                ],
            ).apply(lambda values: iam_documents.private_bucket(**values)),
            # S3 refuses one of two changes to a bucket's public access at the same moment.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_access]),
        )
        self.resources = PrivateBucketResources(
            bucket=bucket,
            versioning=versioning,
            policy=policy,
            lifecycle=self._lifecycle(name, args, bucket, versioning),
        )
        self.id = bucket.id
        self.arn = bucket.arn
        self.register_outputs({"id": self.id, "arn": self.arn})

    def _lifecycle(
        self, name: str, args: PrivateBucketArgs, bucket: s3.Bucket, versioning: s3.BucketVersioning
    ) -> s3.BucketLifecycleConfiguration | None:
        if args.retention_days is None:
            return None
        return s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.id,
            rules=[
                s3.BucketLifecycleConfigurationRuleArgs(
                    id="end",
                    status="Enabled",
                    filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=args.retention_days),
                    noncurrent_version_expiration=(
                        s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(noncurrent_days=1)
                    ),
                    abort_incomplete_multipart_upload=(
                        s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                            days_after_initiation=1
                        )
                    ),
                )
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
