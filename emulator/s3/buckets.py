"""S3 buckets and what is configured on them; kept on the endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known, text
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call

BUCKET = "aws:s3/bucket:Bucket"
_NAME = re.compile(r"(?!xn--)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Zones of S3's website endpoints; AWS General Reference, "Amazon S3 website endpoints".
_LIFECYCLE_ACTIONS = (
    "abortIncompleteMultipartUpload",
    "expiration",
    "noncurrentVersionExpiration",
    "noncurrentVersionTransitions",
    "transitions",
)
_HOSTED_ZONES = {
    "eu-central-1": "Z21DNDUVLTQW6Q",
    "eu-west-1": "Z1BKCTXD74EZPE",
    "us-east-1": "Z3AQBSTGFYJSTF",
}


class Bucket(AwsType):
    """`s3.Bucket`."""

    token = BUCKET
    defaults: ClassVar[Mapping[str, Any]] = {"forceDestroy": False}
    name_property = "bucket"
    name_maximum = 63
    replace_on = frozenset({"bucket", "bucketNamespace", "bucketPrefix", "objectLockEnabled", "region"})

    def form_name(self, name: str) -> str:
        """Lower case, as the provider does."""
        return name.lower()

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        prefix = request.inputs.get("bucketPrefix")
        if request.inputs.get("bucket") is not None:
            return request.inputs["bucket"]
        return UNKNOWN if prefix is UNKNOWN else f"{prefix}{request.digest('name')[:26]}"

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name; settings that have types of their own."""
        name = inputs.get("bucket")
        if known(name) and not _NAME.fullmatch(str(name)):
            yield Failure(
                "bucket",
                f"{name!r}: 3 to 63 characters of a-z, 0-9, '.' and '-', beginning and ending with a "
                "letter or digit",
            )
        for prop in (
            "acl",
            "grants",
            "policy",
            "replicationConfiguration",
            "website",
            "objectLockConfiguration",
            "logging",
        ):
            if inputs.get(prop) is not None:
                yield Failure(
                    prop, f"{prop} of s3.Bucket has no stand-in in the sandbox; use the resource of its own"
                )

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken."""
        if self.taken(request):
            raise Refused(
                f"creating S3 Bucket ({request.id}): api error BucketAlreadyOwnedByYou: Your previous "
                "request to create "
                "the named bucket succeeded and you already own it."
            )

    def computed(self, request: AwsRequest) -> Properties:
        """Names and addresses."""
        return {
            "arn": text("arn:aws:s3:::", request.id),
            "bucket": request.id,
            "bucketDomainName": text(request.id, ".s3.amazonaws.com"),
            "bucketRegion": request.region,
            "bucketRegionalDomainName": text(request.id, f".s3.{request.region}.amazonaws.com"),
            "hostedZoneId": _HOSTED_ZONES.get(request.region, ""),
            "objectLockEnabled": given(request.inputs, "objectLockEnabled", False),
            "requestPayer": given(request.inputs, "requestPayer", "BucketOwner"),
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Creates it."""
        arguments: dict[str, Any] = {"Bucket": request.id}
        if request.region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": request.region}
        if request.inputs.get("objectLockEnabled"):
            arguments["ObjectLockEnabledForBucket"] = True
        accept = ("BucketAlreadyOwnedByYou",) if request.resumed else ()
        with service_call(f"creating S3 Bucket ({request.id})", accept=accept):
            self.endpoint.client("s3", request.region).create_bucket(**arguments)
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether it is there."""
        try:
            self.endpoint.client("s3").head_bucket(Bucket=request.id)
        except ClientError:
            return None
        return {}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it; its content only when asked to."""
        client = self.endpoint.client("s3")
        with service_call(f"deleting S3 Bucket ({request.id})", accept=("NoSuchBucket",)):
            if request.inputs.get("forceDestroy"):
                empty_bucket(client, request.id)
            client.delete_bucket(Bucket=request.id)


def empty_bucket(client: Any, bucket: str, key: str | None = None) -> None:
    """Deletes every version and delete marker of a bucket, or of one key in it."""
    arguments = {"Bucket": bucket, "Prefix": key} if key else {"Bucket": bucket}
    for page in client.get_paginator("list_object_versions").paginate(**arguments):
        for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            if key in (None, item["Key"]):
                client.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])


class _BucketSetting(AwsType):
    """Something that a bucket has one of; its id is the bucket's name."""

    required = ("bucket",)
    replace_on = frozenset({"bucket", "expectedBucketOwner", "region"})
    taggable = False
    removal: ClassVar[str]

    def resource_id(self, request: AwsRequest) -> Any:
        """The bucket's name."""
        return request.inputs["bucket"]

    def put(self, client: Any, bucket: str, inputs: Properties) -> None:
        """Sets it."""
        raise NotImplementedError

    def provision(self, request: AwsRequest) -> Properties:
        """Sets it."""
        with service_call(f"creating {self.token.rpartition(':')[2]} ({request.id})"):
            self.put(self.endpoint.client("s3", request.region), request.id, request.inputs)
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Sets it anew."""
        return self.provision(request)

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether the bucket is there."""
        try:
            self.endpoint.client("s3").head_bucket(Bucket=request.id)
        except ClientError:
            return None
        return {}

    def dispose(self, request: AwsRequest) -> None:
        """Removes it."""
        accept = ("NoSuchBucket", "404")
        with service_call(f"deleting {self.token.rpartition(':')[2]} ({request.id})", accept=accept):
            self.remove(self.endpoint.client("s3"), request.id)

    def remove(self, client: Any, bucket: str) -> None:
        """Removes it; the default calls `removal` of the client."""
        getattr(client, self.removal)(Bucket=bucket)


class BucketVersioning(_BucketSetting):
    """`s3.BucketVersioning`; once on, it can only be suspended."""

    token = "aws:s3/bucketVersioning:BucketVersioning"
    required = ("bucket", "versioningConfiguration")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Known states."""
        configuration = inputs["versioningConfiguration"]
        if isinstance(configuration, Mapping):
            yield from choice_problem(configuration, "status", ("Enabled", "Suspended", "Disabled"))

    def put(self, client: Any, bucket: str, inputs: Properties) -> None:
        """Sets the state."""
        status = inputs["versioningConfiguration"]["status"]
        if status != "Disabled":
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def remove(self, client: Any, bucket: str) -> None:
        """Suspends it, as the provider does."""
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


class BucketPublicAccessBlock(_BucketSetting):
    """`s3.BucketPublicAccessBlock`."""

    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    removal = "delete_public_access_block"
    replace_on = frozenset({"bucket", "region"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "blockPublicAcls": False,
        "blockPublicPolicy": False,
        "ignorePublicAcls": False,
        "restrictPublicBuckets": False,
    }

    def put(self, client: Any, bucket: str, inputs: Properties) -> None:
        """Sets the four switches."""
        switches = {name[0].upper() + name[1:]: inputs[name] for name in self.defaults}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=switches)


class BucketOwnershipControls(_BucketSetting):
    """`s3.BucketOwnershipControls`."""

    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    required = ("bucket", "rule")
    removal = "delete_bucket_ownership_controls"
    replace_on = frozenset({"bucket", "region"})

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Known kinds."""
        if isinstance(inputs["rule"], Mapping):
            kinds = ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")
            yield from choice_problem(inputs["rule"], "objectOwnership", kinds)

    def put(self, client: Any, bucket: str, inputs: Properties) -> None:
        """Sets the rule."""
        rule = {"ObjectOwnership": inputs["rule"]["objectOwnership"]}
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [rule]})


class BucketServerSideEncryptionConfiguration(_BucketSetting):
    """`s3.BucketServerSideEncryptionConfiguration`."""

    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    required = ("bucket", "rules")
    removal = "delete_bucket_encryption"

    def put(self, client: Any, bucket: str, inputs: Properties) -> None:
        """Sets the rules."""
        rules = []
        for rule in inputs["rules"]:
            default = rule.get("applyServerSideEncryptionByDefault") or {}
            by_default = {"SSEAlgorithm": default.get("sseAlgorithm", "AES256")}
            if default.get("kmsMasterKeyId"):
                by_default["KMSMasterKeyID"] = default["kmsMasterKeyId"]
            rules.append(
                {
                    "ApplyServerSideEncryptionByDefault": by_default,
                    "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled")),
                }
            )
        client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


class BucketLifecycleConfiguration(_BucketSetting):
    """`s3.BucketLifecycleConfiguration`. Recorded: a sandbox does not live for as many days."""

    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    required = ("bucket",)
    defaults: ClassVar[Mapping[str, Any]] = {"transitionDefaultMinimumObjectSize": "all_storage_classes_128K"}

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Rules with ids of their own, a known state, and something that they do after whole days."""
        rules = inputs.get("rules")
        if not isinstance(rules, list):
            return
        ids = [str(rule["id"]) for rule in rules if isinstance(rule, Mapping) and known(rule.get("id"))]
        if len(set(ids)) != len(ids):
            yield Failure(
                "rules", f"InvalidArgument: Rule ID must be unique; there are {', '.join(map(str, ids))}"
            )
        for rule in rules:
            if isinstance(rule, Mapping):
                yield from _lifecycle_problems(rule)

    def put(self, client: Any, bucket: str, inputs: Properties) -> None:
        """Nothing: see the class."""

    def remove(self, client: Any, bucket: str) -> None:
        """Nothing: see the class."""


def _lifecycle_problems(rule: Mapping[str, Any]) -> Iterable[Failure]:
    for failure in choice_problem(rule, "status", ("Enabled", "Disabled")):
        yield Failure("rules", failure.reason)
    acts = [rule.get(name) for name in _LIFECYCLE_ACTIONS]
    if not any(acts):
        yield Failure("rules", "InvalidRequest: At least one action needs to be specified in a rule")
    for act in acts:
        for name in ("days", "noncurrentDays", "daysAfterInitiation"):
            days = act.get(name) if isinstance(act, Mapping) else None
            if known(days) and int(str(days)) < 1:
                yield Failure("rules", f"expected {name} to be at least (1), got {days}")


class BucketPolicy(_BucketSetting):
    """`s3.BucketPolicy`."""

    token = "aws:s3/bucketPolicy:BucketPolicy"
    required = ("bucket", "policy")
    replace_on = frozenset({"bucket", "region"})
    removal = "delete_bucket_policy"

    def put(self, client: Any, bucket: str, inputs: Properties) -> None:
        """Sets the document."""
        client.put_bucket_policy(Bucket=bucket, Policy=inputs["policy"])
