"""Which IAM actions on which resources an operation is.

Source: Service Authorization Reference, the tables of Amazon S3, AWS Secrets Manager, AWS Systems Manager,
Amazon CloudWatch Logs, AWS IAM and AWS STS. What is not listed acts under its own name on `*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from emulator.endpoint.credentials import ACCOUNT
from emulator.endpoint.operations import Operation
from emulator.iam.conditions import Context

# Operations of S3 whose IAM action has another name.
_S3_ACTIONS: Mapping[str, str] = {
    "CreateMultipartUpload": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UploadPart": "PutObject",
}
_S3_VERSIONED = {"GetObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging"}
# Condition keys, and the members of a request that they show.
_S3_CONDITION_KEYS: Mapping[str, str] = {
    "s3:prefix": "Prefix",
    "s3:VersionId": "VersionId",
    "s3:x-amz-acl": "ACL",
    "s3:x-amz-server-side-encryption": "ServerSideEncryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
}
_SECRET_CONDITION_KEYS: Mapping[str, str] = {
    "secretsmanager:VersionId": "VersionId",
    "secretsmanager:VersionStage": "VersionStage",
    "secretsmanager:Name": "Name",
}
_LOG_STREAM = {"CreateLogStream", "DeleteLogStream", "GetLogEvents", "PutLogEvents"}


@dataclass(frozen=True, kw_only=True)
class Access:
    """One action on one resource that the caller must be allowed.

    Attributes:
        resource: ARN, or `*`.
        context: Condition keys of this call.
        lacking: Global condition keys that the service does not fill in.
    """

    action: str
    resource: str
    context: Context = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()


def accesses(  # noqa: PLR0911 - one return a service
    operation: Operation, region: str, secret_arns: Mapping[str, str]
) -> list[Access]:
    """What a caller of `operation` must be allowed.

    Args:
        secret_arns: Full ARNs of secrets by name.
    """
    match operation.service:
        case "s3":
            return _s3(operation)
        case "secretsmanager":
            return [_secret(operation, region, secret_arns)]
        case "ssm":
            return _parameters(operation, region)
        case "logs":
            return [Access(action=operation.full_name, resource=_log_resource(operation, region))]
        case "rds":
            name = operation.parameters.get("DBInstanceIdentifier", "*")
            arn = f"arn:aws:rds:{region}:{ACCOUNT}:db:{name}"
            return [Access(action=operation.full_name, resource=arn)]
        case "lambda":
            return [_function(operation, region)]
        case _:
            return [Access(action=operation.full_name, resource=_global_resource(operation))]


def _function(operation: Operation, region: str) -> Access:
    action = "InvokeFunction" if operation.name == "Invoke" else operation.name
    name = str(operation.parameters.get("FunctionName", "*"))
    arn = name if name.startswith("arn:") else f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"
    return Access(action=f"lambda:{action}", resource=arn)


def _s3(operation: Operation) -> list[Access]:
    parameters = operation.parameters
    action = _S3_ACTIONS.get(operation.name, operation.name)
    bucket, key = parameters.get("Bucket"), parameters.get("Key")
    resource = "*" if bucket is None else f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
    if "VersionId" in parameters and action in _S3_VERSIONED:
        action = action.replace("Object", "ObjectVersion")
    context = _context(parameters, _S3_CONDITION_KEYS)
    needed = [Access(action=f"s3:{action}", resource=resource, context=context)]
    if operation.name == "CopyObject":
        source, _, version = unquote(str(parameters["CopySource"])).lstrip("/").partition("?versionId=")
        reading = "s3:GetObjectVersion" if version else "s3:GetObject"
        needed[0] = Access(action="s3:PutObject", resource=resource, context=context)
        needed.append(Access(action=reading, resource=f"arn:aws:s3:::{source}"))
    if operation.name == "DeleteObjects":
        needed[0] = Access(action="s3:DeleteObject", resource=f"{resource}/*")
    if operation.name == "PutObject" and "Tagging" in parameters:
        needed.append(Access(action="s3:PutObjectTagging", resource=resource))
    return needed


def _secret(operation: Operation, region: str, secret_arns: Mapping[str, str]) -> Access:
    parameters = operation.parameters
    context = _context(parameters, _SECRET_CONDITION_KEYS)
    identifier = parameters.get("Name" if operation.name == "CreateSecret" else "SecretId")
    if identifier is None:
        return Access(action=operation.full_name, resource="*", context=context)
    arn = secret_arn(str(identifier), region, secret_arns)
    context |= {"secretsmanager:SecretId": arn}
    return Access(action=operation.full_name, resource=arn, context=context)


def _context(parameters: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, str]:
    return {name: str(parameters[member]) for name, member in keys.items() if member in parameters}


def secret_arn(identifier: str, region: str, secret_arns: Mapping[str, str]) -> str:
    """The full ARN of a secret named by name, ARN without suffix, or full ARN."""
    name = re.sub(r"^arn:aws:secretsmanager:[^:]*:\d*:secret:", "", identifier)
    if name in secret_arns:
        return secret_arns[name]
    own = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}"
    return identifier if identifier.startswith("arn:") else own


def _parameters(operation: Operation, region: str) -> list[Access]:
    given = operation.parameters
    names = given.get("Names") or [name for name in (given.get("Name"), given.get("Path")) if name]
    if given.get("ResourceType") == "Parameter" and given.get("ResourceId"):
        names = [given["ResourceId"]]
    if not names or operation.name == "DescribeParameters":
        return [Access(action=operation.full_name, resource="*")]
    return [Access(action=operation.full_name, resource=parameter_arn(str(name), region)) for name in names]


def parameter_arn(name: str, region: str) -> str:
    """The ARN of an SSM parameter given by name (with or without version or label) or ARN."""
    if name.startswith("arn:"):
        return name
    bare = name.split(":", 1)[0].lstrip("/")
    return f"arn:aws:ssm:{region}:{ACCOUNT}:parameter/{bare}"


def _log_resource(operation: Operation, region: str) -> str:
    group = operation.parameters.get("logGroupName")
    if group is None:
        return "*"
    # IAM compares log groups with their streams' part, which is why policies end in ":*".
    stream = operation.parameters.get("logStreamName", "") if operation.name in _LOG_STREAM else ""
    return f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}:log-stream:{stream}"


def _global_resource(operation: Operation) -> str:
    if operation.full_name == "sts:AssumeRole":
        return str(operation.parameters.get("RoleArn", "*"))
    if operation.service != "iam":
        return "*"
    for member, kind in (
        ("RoleName", "role"),
        ("InstanceProfileName", "instance-profile"),
        ("UserName", "user"),
    ):
        if member in operation.parameters:
            return f"arn:aws:iam::{ACCOUNT}:{kind}/{operation.parameters[member]}"
    return str(operation.parameters.get("PolicyArn", "*"))
