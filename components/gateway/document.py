"""The gateway's document: assembled, put to S3, and pointed to by SSM."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import pulumi
from pulumi_aws import s3, ssm

from components.private_bucket import PrivateBucket, PrivateBucketArgs
from documents.document import ObjectPointer
from gateway.document import AllowedIdentity, GatewayDocument
from pgpasswordless.connections import Database

DOCUMENT_KEY = "gateway.json"


@dataclass(frozen=True, kw_only=True)
class PublishedGatewayDocumentArgs:
    """Arguments of `PublishedGatewayDocument`.

    Attributes:
        pointer_name: Name of the SSM parameter that names the document.
        database: The database's entry in the connections document; of its roles only those stay that the
            allow-list names.
        client_authorities: PEM of the client authority's certificates.
        revocation_lists: PEM of each revocation list.
        header_suffixes: Accepted suffixes; made a secret here, whatever the caller passes.
        identities: The allow-list.
        writers: ARNs of the roles and users that may write the document.
        tags: Tags of every child.
    """

    pointer_name: str
    database: pulumi.Input[Mapping[str, Any]]
    client_authorities: pulumi.Input[str]
    revocation_lists: pulumi.Input[Sequence[str]] = ()
    header_suffixes: pulumi.Input[Sequence[str]] = field(repr=False)
    identities: Sequence[AllowedIdentity]
    writers: Sequence[str]
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        object.__setattr__(self, "header_suffixes", pulumi.Output.secret(self.header_suffixes))


@final
@dataclass(frozen=True, kw_only=True)
class PublishedGatewayDocumentResources:
    """Children of `PublishedGatewayDocument`."""

    bucket: PrivateBucket
    document: s3.BucketObjectv2
    pointer: ssm.Parameter


class PublishedGatewayDocument(pulumi.ComponentResource):
    """`passwordless-postgres:index:PublishedGatewayDocument`: what running gateways live by.

    Makes a `PrivateBucket`, the object `gateway.json` in it, secret for its header suffixes, and an SSM
    parameter that names its bucket, key, version and SHA-256. Running gateways follow the parameter.

    Attributes:
        pointer_arn: ARN of the parameter.
        object_arn: ARN of the object, all its versions.
        resources: The children.
    """

    pointer_arn: pulumi.Output[str]
    object_arn: pulumi.Output[str]
    resources: PublishedGatewayDocumentResources

    def __init__(
        self, name: str, args: PublishedGatewayDocumentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Put the document."""
        super().__init__("passwordless-postgres:index:PublishedGatewayDocument", name, {}, opts)
        text = pulumi.Output.secret(
            pulumi.Output.all(
                database=args.database,
                client_authorities=args.client_authorities,
                revocation_lists=args.revocation_lists,
                header_suffixes=args.header_suffixes,
                identities=[
                    {"kind": each.kind, "value": each.value, "role": each.role} for each in args.identities
                ],
            ).apply(lambda values: document_json(**values))
        )
        # Of a text with 96 secret bits that nobody can try one by one, the digest tells nothing.
        sha256 = pulumi.Output.unsecret(text.apply(lambda value: hashlib.sha256(value.encode()).hexdigest()))
        bucket = PrivateBucket(
            name,
            PrivateBucketArgs(writers={DOCUMENT_KEY: args.writers}, tags=args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )
        document = s3.BucketObjectv2(
            f"{name}-document",
            bucket=bucket.id,
            key=DOCUMENT_KEY,
            content=text,
            content_type="application/json",
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket]),
        )
        pointer = ssm.Parameter(
            f"{name}-pointer",
            name=args.pointer_name,
            description="Names the document that the gateway lives by",
            type=ssm.ParameterType.STRING,
            insecure_value=pulumi.Output.all(
                bucket=bucket.id, version=document.version_id, sha256=sha256
            ).apply(lambda values: ObjectPointer(key=DOCUMENT_KEY, **values).to_json()),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = PublishedGatewayDocumentResources(bucket=bucket, document=document, pointer=pointer)
        self.pointer_arn = pointer.arn
        self.object_arn = pulumi.Output.concat(bucket.arn, "/", DOCUMENT_KEY)
        self.register_outputs({"pointerArn": self.pointer_arn})


def document_json(
    *,
    database: Mapping[str, Any],
    client_authorities: str,
    revocation_lists: Sequence[str],
    header_suffixes: Sequence[str],
    identities: Sequence[Mapping[str, str]],
) -> str:
    """The document as the gateway reads it, checked against the model."""
    entry = Database.model_validate(database)
    used = {each["role"] for each in identities}
    return GatewayDocument(
        database=entry.model_copy(
            update={"roles": {name: role for name, role in entry.roles.items() if name in used}}
        ),
        client_authorities=client_authorities,
        revocation_lists=tuple(revocation_lists),
        header_suffixes=tuple(header_suffixes),
        identities=tuple(AllowedIdentity.model_validate(each) for each in identities),
    ).to_json()
