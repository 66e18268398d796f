"""A document for running programs and applications: one object in S3, which only named principals write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

import pulumi
from pulumi_aws import s3

from components.private_bucket import PrivateBucket, PrivateBucketArgs, object_tags
from components.serial import Serial

DocumentType = Literal["ConnectionsDocument", "PublishedGatewayDocument"]


@dataclass(frozen=True, kw_only=True)
class PublishedDocumentArgs:
    """Arguments of `PublishedDocument`.

    Attributes:
        document_type: Which document it is; the component's type token in the state.
        key: Key of the object.
        text: The document as JSON; may be secret.
        numbered: Writes a serial into the text of a document that has one.
        writers: ARNs of the roles and users that may write the document.
        tags: Tags of every child.
    """

    document_type: DocumentType
    key: str
    text: pulumi.Input[str] = field(repr=False)
    numbered: Callable[[str, int], str] | None = None
    writers: Sequence[str]
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class PublishedDocumentResources:
    """Children of `PublishedDocument`; a `serial` only where the document has one."""

    bucket: PrivateBucket
    serial: Serial | None
    document: s3.BucketObjectv2


class PublishedDocument(pulumi.ComponentResource):
    """`passwordless-postgres:index:ConnectionsDocument` or `PublishedGatewayDocument`: a versioned document.

    Makes a `PrivateBucket`, a `Serial` where the document has one, and the document's object. Readers are
    given the object's address and read its current version. Nothing else points to it: who could write a
    pointer would choose what they read, whoever may write the object.

    Attributes:
        bucket_id: Name of the bucket.
        object_arn: ARN of the object.
        address: The object as `s3://<bucket>/<key>`.
        sha256: SHA-256 of the object.
        resources: The children.
    """

    bucket_id: pulumi.Output[str]
    object_arn: pulumi.Output[str]
    address: pulumi.Output[str]
    sha256: pulumi.Output[str]
    resources: PublishedDocumentResources

    def __init__(
        self, name: str, args: PublishedDocumentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Publish the document."""
        super().__init__(f"passwordless-postgres:index:{args.document_type}", name, {}, opts)
        text, serial = pulumi.Output.from_input(args.text), None
        if (numbered := args.numbered) is not None:
            serial = Serial(f"{name}-serial", _sha256(text), opts=pulumi.ResourceOptions(parent=self))
            text = pulumi.Output.all(text, serial.serial).apply(lambda values: numbered(*values))
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
            tags=object_tags(args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket]),
        )
        self.resources = PublishedDocumentResources(bucket=bucket, serial=serial, document=document)
        self.bucket_id = bucket.id
        self.object_arn = pulumi.Output.concat(bucket.arn, "/", args.key)
        self.address = pulumi.Output.concat("s3://", bucket.id, "/", args.key)
        self.sha256 = _sha256(text)
        self.register_outputs({"address": self.address})


def _sha256(text: pulumi.Output[str]) -> pulumi.Output[str]:
    # The secrets in a document are long and random, so that its digest does not reveal them.
    return pulumi.Output.unsecret(text.apply(lambda value: hashlib.sha256(value.encode()).hexdigest()))
