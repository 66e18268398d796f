"""A document for running programs and applications: an object in S3, named by an SSM parameter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, final

import pulumi
from pulumi_aws import s3, ssm

from components.private_bucket import PrivateBucket, PrivateBucketArgs
from documents.document import ObjectPointer

DocumentType = Literal["ConnectionsDocument", "PublishedGatewayDocument"]


@dataclass(frozen=True, kw_only=True)
class PublishedDocumentArgs:
    """Arguments of `PublishedDocument`.

    Attributes:
        document_type: Which document it is; the component's type token in the state.
        key: Key of the object.
        text: The document as JSON; may be secret.
        pointer_name: Name of the SSM parameter that names the document.
        description: Description of that parameter.
        writers: ARNs of the roles and users that may write the document.
        tags: Tags of every child.
    """

    document_type: DocumentType
    key: str
    text: pulumi.Input[str] = field(repr=False)
    pointer_name: str
    description: str
    writers: Sequence[str]
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class PublishedDocumentResources:
    """Children of `PublishedDocument`."""

    bucket: PrivateBucket
    document: s3.BucketObjectv2
    pointer: ssm.Parameter


class PublishedDocument(pulumi.ComponentResource):
    """`passwordless-postgres:index:ConnectionsDocument` or `PublishedGatewayDocument`: a versioned document.

    Makes a `PrivateBucket`, the document's object in it and an SSM parameter that names its bucket, key,
    version and SHA-256 (SSM values end at 4 KB, bundles of certificates do not). Readers follow the
    parameter.

    Attributes:
        pointer_arn: ARN of the parameter.
        object_arn: ARN of the object, all its versions.
        resources: The children.
    """

    pointer_arn: pulumi.Output[str]
    object_arn: pulumi.Output[str]
    resources: PublishedDocumentResources

    def __init__(
        self, name: str, args: PublishedDocumentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Publish the document."""
        super().__init__(f"passwordless-postgres:index:{args.document_type}", name, {}, opts)
        text = pulumi.Output.from_input(args.text)
        # The secrets in a document are long and random, so that its digest does not reveal them.
        sha256 = pulumi.Output.unsecret(text.apply(lambda value: hashlib.sha256(value.encode()).hexdigest()))
        bucket = PrivateBucket(
            name,
            PrivateBucketArgs(writers={args.key: args.writers}, tags=args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )
        document = s3.BucketObjectv2(
            f"{name}-document",
            bucket=bucket.id,
            key=args.key,
            content=text,
            content_type="application/json",
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket]),
        )
        pointer = ssm.Parameter(
            f"{name}-pointer",
            name=args.pointer_name,
            description=args.description,
            type=ssm.ParameterType.STRING,
            insecure_value=pulumi.Output.all(
                bucket=bucket.id, version=document.version_id, sha256=sha256
            ).apply(lambda values: ObjectPointer(key=args.key, **values).to_json()),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = PublishedDocumentResources(bucket=bucket, document=document, pointer=pointer)
        self.pointer_arn = pointer.arn
        self.object_arn = pulumi.Output.concat(bucket.arn, "/", args.key)
        self.register_outputs({"pointerArn": self.pointer_arn})
