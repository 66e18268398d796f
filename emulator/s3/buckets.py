"""S3 buckets and what is configured on them; kept on the endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, known, text
from emulator.core.checks import at_least, matching, one_of
from emulator.core.resource_type import Failure, Properties
from emulator.core.service_errors import answer_or_none, service_call

BUCKET = "aws:s3/bucket:Bucket"
_LIFECYCLE_ACTIONS = (
    "abortIncompleteMultipartUpload",
    "expiration",
    "noncurrentVersionExpiration",
    "noncurrentVersionTransitions",
    "transitions",
)
_SETTINGS_WITH_TYPES = (
    "acl", "grants", "policy", "replicationConfiguration", "website", "objectLockConfiguration", "logging",
)  # fmt: skip
# Zones of S3's website endpoints; AWS General Reference, "Amazon S3 website endpoints".
_HOSTED_ZONES = {
    "eu-central-1": "Z21DNDUVLTQW6Q",
    "eu-west-1": "Z1BKCTXD74EZPE",
    "us-east-1": "Z3AQBSTGFYJSTF",
}


class _InBucket(AwsType):
    """A bucket, or something that a bucket has one of; its id is the bucket's name."""

    def observe(self, request: AwsRequest) -> Properties | None:
        found = answer_or_none(self.endpoint.client("s3").head_bucket, Bucket=request.id)
        return None if found is None else {}


class Bucket(_InBucket):
    """`s3.Bucket`."""

    token = BUCKET
    defaults: ClassVar[Mapping[str, Any]] = {"forceDestroy": False}
    name_property = "bucket"
    name_maximum = 63
    form_name = staticmethod(str.lower)
    name_taken = (
        "creating S3 Bucket ({id}): api error BucketAlreadyOwnedByYou: Your previous request to create the "
        "named bucket succeeded and you already own it."
    )
    checks: ClassVar = {
        "bucket": (
            matching(
                r"(?!xn--)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
                "3 to 63 characters of a-z, 0-9, '.' and '-', beginning and ending with a letter or digit",
            ),
        )
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {"objectLockEnabled": False, "requestPayer": "BucketOwner"}
    replace_on = ("bucket", "bucketNamespace", "bucketPrefix", "objectLockEnabled")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        for name in _SETTINGS_WITH_TYPES:
            if inputs.get(name) is not None:
                yield Failure(
                    name, f"{name} of s3.Bucket has no stand-in in the sandbox; use the resource of its own"
                )

    def computed(self, request: AwsRequest) -> Properties:
        return {
            "arn": text("arn:aws:s3:::", request.id),
            "bucketDomainName": text(request.id, ".s3.amazonaws.com"),
            "bucketRegion": request.region,
            "bucketRegionalDomainName": text(request.id, f".s3.{request.region}.amazonaws.com"),
            "hostedZoneId": _HOSTED_ZONES.get(request.region, ""),
        }

    def provision(self, request: AwsRequest) -> Properties:
        arguments: dict[str, Any] = {"Bucket": request.id}
        if request.region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": request.region}
        if request.inputs.get("objectLockEnabled"):
            arguments["ObjectLockEnabledForBucket"] = True
        accept = ("BucketAlreadyOwnedByYou",) if request.resumed else ()
        with service_call(f"creating S3 Bucket ({request.id})", accept=accept):
            self.endpoint.client("s3", request.region).create_bucket(**arguments)
        return {}

    def dispose(self, request: AwsRequest) -> None:
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


class _BucketSetting(_InBucket):
    """Something that a bucket has one of. An update puts it again.

    Attributes:
        operation: The client's method that puts it.
        removal: The client's method that removes it.
        removal_arguments: The arguments of the removal besides the bucket.
    """

    required = ("bucket",)
    id_inputs = ("bucket",)
    replace_on = ("bucket", "expectedBucketOwner")
    provision_again = True
    taggable = False
    operation: ClassVar[str]
    removal: ClassVar[str]
    removal_arguments: ClassVar[Mapping[str, Any]] = {}

    def arguments(self, inputs: Properties) -> Mapping[str, Any] | None:
        """The arguments of the operation besides the bucket; None where there is nothing to put."""
        raise NotImplementedError

    def provision(self, request: AwsRequest) -> Properties:
        arguments = self.arguments(request.inputs)
        if arguments is not None:
            with service_call(f"creating {self.token.rpartition(':')[2]} ({request.id})"):
                client = self.endpoint.client("s3", request.region)
                getattr(client, self.operation)(Bucket=request.id, **arguments)
        return {}

    def dispose(self, request: AwsRequest) -> None:
        accept = ("NoSuchBucket", "404")
        with service_call(f"deleting {self.token.rpartition(':')[2]} ({request.id})", accept=accept):
            getattr(self.endpoint.client("s3"), self.removal)(Bucket=request.id, **self.removal_arguments)


class BucketVersioning(_BucketSetting):
    """`s3.BucketVersioning`; once on, it can only be suspended."""

    token = "aws:s3/bucketVersioning:BucketVersioning"
    required = ("bucket", "versioningConfiguration")
    checks: ClassVar = {"versioningConfiguration.status": (one_of("Enabled", "Suspended", "Disabled"),)}
    operation = removal = "put_bucket_versioning"
    removal_arguments: ClassVar[Mapping[str, Any]] = {"VersioningConfiguration": {"Status": "Suspended"}}

    def arguments(self, inputs: Properties) -> Mapping[str, Any] | None:
        status = inputs["versioningConfiguration"]["status"]
        return None if status == "Disabled" else {"VersioningConfiguration": {"Status": status}}


class BucketPublicAccessBlock(_BucketSetting):
    """`s3.BucketPublicAccessBlock`."""

    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    operation, removal = "put_public_access_block", "delete_public_access_block"
    replace_on = ("bucket",)
    defaults: ClassVar[Mapping[str, Any]] = {
        "blockPublicAcls": False,
        "blockPublicPolicy": False,
        "ignorePublicAcls": False,
        "restrictPublicBuckets": False,
    }

    def arguments(self, inputs: Properties) -> Mapping[str, Any]:
        switches = {name[0].upper() + name[1:]: inputs[name] for name in self.defaults}
        return {"PublicAccessBlockConfiguration": switches}


class BucketOwnershipControls(_BucketSetting):
    """`s3.BucketOwnershipControls`."""

    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    required = ("bucket", "rule")
    checks: ClassVar = {
        "rule.objectOwnership": (one_of("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"),)
    }
    operation, removal = "put_bucket_ownership_controls", "delete_bucket_ownership_controls"
    replace_on = ("bucket",)

    def arguments(self, inputs: Properties) -> Mapping[str, Any]:
        return {"OwnershipControls": {"Rules": [{"ObjectOwnership": inputs["rule"]["objectOwnership"]}]}}


class BucketServerSideEncryptionConfiguration(_BucketSetting):
    """`s3.BucketServerSideEncryptionConfiguration`."""

    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    required = ("bucket", "rules")
    operation, removal = "put_bucket_encryption", "delete_bucket_encryption"

    def arguments(self, inputs: Properties) -> Mapping[str, Any]:
        rules = []
        for rule in inputs["rules"]:
            default = rule.get("applyServerSideEncryptionByDefault") or {}
            by_default = {"SSEAlgorithm": default.get("sseAlgorithm", "AES256")}
            if default.get("kmsMasterKeyId"):
                by_default["KMSMasterKeyID"] = default["kmsMasterKeyId"]
            enabled = bool(rule.get("bucketKeyEnabled"))
            rules.append({"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": enabled})
        return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


class BucketPolicy(_BucketSetting):
    """`s3.BucketPolicy`."""

    token = "aws:s3/bucketPolicy:BucketPolicy"
    required = ("bucket", "policy")
    replace_on = ("bucket",)
    operation, removal = "put_bucket_policy", "delete_bucket_policy"

    def arguments(self, inputs: Properties) -> Mapping[str, Any]:
        return {"Policy": inputs["policy"]}


class BucketLifecycleConfiguration(_InBucket):
    """`s3.BucketLifecycleConfiguration`. Recorded: a sandbox does not live for as many days."""

    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    required = ("bucket",)
    id_inputs = ("bucket",)
    defaults: ClassVar[Mapping[str, Any]] = {"transitionDefaultMinimumObjectSize": "all_storage_classes_128K"}
    checks: ClassVar = {
        "rules.status": (one_of("Enabled", "Disabled"),),
        **{
            f"rules.{action}.{days}": (at_least(1),)
            for action in _LIFECYCLE_ACTIONS
            for days in ("days", "noncurrentDays", "daysAfterInitiation")
        },
    }
    replace_on = ("bucket", "expectedBucketOwner")
    taggable = False

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        given = inputs.get("rules")
        rules = [rule for rule in given if isinstance(rule, Mapping)] if isinstance(given, list) else []
        ids = [str(rule["id"]) for rule in rules if known(rule.get("id"))]
        if len(set(ids)) != len(ids):
            yield Failure("rules", f"InvalidArgument: Rule ID must be unique; there are {', '.join(ids)}")
        for rule in rules:
            if not any(rule.get(name) for name in _LIFECYCLE_ACTIONS):
                yield Failure("rules", "InvalidRequest: At least one action needs to be specified in a rule")
