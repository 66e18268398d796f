"""A versioned bucket that only named principals write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws import s3

from components import iam_documents


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """Arguments of `PrivateBucket`.

    Attributes:
        writers: ARNs of the roles and users that may write, by path in the bucket; a path may end in
            `*`. Whoever runs `pulumi up` must be among those of each path that the program writes.
        tags: Tags of every child.

    Raises:
        ValueError: A path has no writer, so that not even the program could write it.
    """

    writers: Mapping[str, Sequence[pulumi.Input[str]]]
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
    """Children of `PrivateBucket`."""

    bucket: s3.Bucket
    versioning: s3.BucketVersioning
    policy: s3.BucketPolicy


class PrivateBucket(pulumi.ComponentResource):
    """`passwordless-postgres:index:PrivateBucket`: versioned, encrypted, not public, TLS only.

    Makes a `s3.Bucket` with ownership controls, public access block, versioning, encryption by SSE-S3
    and a bucket policy. It holds only what a deployment renders again, so it is deleted with its
    content. Objects in it depend on the component, so that their first version has an id.

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
        bucket = s3.Bucket(name, force_destroy=True, tags=args.tags, opts=pulumi.ResourceOptions(parent=self))
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
                bucket=bucket.arn, writers={path: list(who) for path, who in args.writers.items()}
            ).apply(lambda values: iam_documents.private_bucket(**values)),
            # S3 refuses one of two changes to a bucket's public access at the same moment.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_access]),
        )
        self.resources = PrivateBucketResources(bucket=bucket, versioning=versioning, policy=policy)
        self.id = bucket.id
        self.arn = bucket.arn
        self.register_outputs({"id": self.id, "arn": self.arn})
