"""The trust store of a load balancer: authorities and revocation lists, by version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws import lb, s3

from components.pki.pem_bundle import certificate_bundle, revocation_list
from components.private_bucket import PrivateBucket, PrivateBucketArgs, object_tags

BUNDLE_KEY = "client-authorities.pem"


def revocation_key(name: str) -> str:
    """Key of one revocation list's object."""
    return f"revoked/{name}.pem"


@dataclass(frozen=True, kw_only=True)
class TrustStoreArgs:
    """Arguments of `TrustStore`.

    Attributes:
        bundle_pem: Certificates of the authority; normalised to what a trust store takes.
        revocation_lists: PEM of each revocation list, by a name that stays.
        writers: ARNs of the roles and users that may write them.
        tags: Tags of every child.
    """

    bundle_pem: pulumi.Input[str]
    revocation_lists: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    writers: Sequence[str]
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class TrustStoreResources:
    """Children of `TrustStore`; `lists` and `revocations` by the names of the lists."""

    bucket: PrivateBucket
    bundle: s3.BucketObjectv2
    lists: dict[str, s3.BucketObjectv2]
    trust_store: lb.TrustStore
    revocations: dict[str, lb.TrustStoreRevocation]


class TrustStore(pulumi.ComponentResource):
    """`passwordless-postgres:index:TrustStore`: the client authorities of a mutual TLS listener.

    Makes a `PrivateBucket` with an object for the bundle and one per revocation list, a `lb.TrustStore`
    and a `lb.TrustStoreRevocation` per list. A load balancer copies what it is given once, so the
    version of each object is an argument: new content is a new version and with it a change. A new list
    is added before the one it follows is taken away.

    Attributes:
        arn: The trust store; a listener depends on the component, so that no list comes after it.
        bundle_pem: The bundle as it is trusted.
        revocation_lists: The lists as they are trusted, in the order of their names.
        resources: The children.
    """

    arn: pulumi.Output[str]
    bundle_pem: pulumi.Output[str]
    revocation_lists: pulumi.Output[list[str]]
    resources: TrustStoreResources

    def __init__(self, name: str, args: TrustStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make bucket and trust store."""
        super().__init__("passwordless-postgres:index:TrustStore", name, {}, opts)
        self._name, self._args = name, args
        self.bundle_pem = pulumi.Output.from_input(args.bundle_pem).apply(_bundle)
        texts = {
            each: pulumi.Output.from_input(args.revocation_lists[each]).apply(_list_of(each))
            for each in sorted(args.revocation_lists)
        }
        self.revocation_lists = pulumi.Output.all(*texts.values())
        bucket = PrivateBucket(
            name,
            PrivateBucketArgs(
                writers={BUNDLE_KEY: args.writers, revocation_key("*"): args.writers}, tags=args.tags
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        bundle = self._object(bucket, "authorities", BUNDLE_KEY, self.bundle_pem)
        trust_store = lb.TrustStore(
            name,
            ca_certificates_bundle_s3_bucket=bucket.id,
            ca_certificates_bundle_s3_key=bundle.key,
            ca_certificates_bundle_s3_object_version=bundle.version_id,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        lists = {
            each: self._object(bucket, f"revoked-{each}", revocation_key(each), text)
            for each, text in texts.items()
        }
        revocations = {
            each: lb.TrustStoreRevocation(
                f"{name}-revoked-{each}",
                trust_store_arn=trust_store.arn,
                revocations_s3_bucket=bucket.id,
                revocations_s3_key=item.key,
                revocations_s3_object_version=item.version_id,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for each, item in lists.items()
        }
        self.resources = TrustStoreResources(
            bucket=bucket, bundle=bundle, lists=lists, trust_store=trust_store, revocations=revocations
        )
        self.arn = trust_store.arn
        self.register_outputs({"arn": self.arn})

    def _object(
        self, bucket: PrivateBucket, what: str, key: str, text: pulumi.Input[str]
    ) -> s3.BucketObjectv2:
        return s3.BucketObjectv2(
            f"{self._name}-{what}",
            bucket=bucket.id,
            key=key,
            content=text,
            content_type="application/x-pem-file",
            tags=object_tags(self._args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket]),
        )


def _bundle(text: str) -> str:
    try:
        return certificate_bundle(text)
    except ValueError as error:
        raise pulumi.RunError(f"client authorities: the PEM {error}") from None


def _list_of(name: str) -> Callable[[str], str]:
    def normalised(text: str) -> str:
        try:
            return revocation_list(text)
        except ValueError as error:
            raise pulumi.RunError(f"revocation list {name}: the PEM {error}") from None

    return normalised
