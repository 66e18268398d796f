"""Limits of AWS that moto does not hold.

Source: quotas pages of Systems Manager ("Parameter Store"), Secrets Manager, IAM and S3; the error codes and
wordings are those of the services.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from emulator.endpoint.operations import Operation
from emulator.endpoint.refusals import Kind, Refusal
from emulator.iam.policy import MalformedPolicyDocument, parse_policy

STANDARD_PARAMETER_CHARACTERS = 4096
ADVANCED_PARAMETER_CHARACTERS = 8192
SECRET_BYTES = 65536
SECRET_POLICY_CHARACTERS = 20480
BUCKET_POLICY_BYTES = 20480
ROLE_POLICY_CHARACTERS = 10240
TRUST_POLICY_CHARACTERS = 2048


def _invalid(code: str, message: str) -> Refusal:
    return Refusal(Kind.INVALID, message, code)


def _put_parameter(given: Mapping[str, Any]) -> None:
    value, tier = str(given.get("Value", "")), given.get("Tier") or "Standard"
    if not value:
        raise _invalid(
            "ValidationException",
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must "
            "have length greater than or equal to 1.",
        )
    if tier == "Standard" and len(value) > STANDARD_PARAMETER_CHARACTERS:
        raise _invalid(
            "ValidationException",
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a "
            "larger parameter value, upgrade the parameter to use the advanced-parameter tier.",
        )
    if len(value) > ADVANCED_PARAMETER_CHARACTERS:
        raise _invalid(
            "ValidationException",
            "Advanced tier parameters support a maximum parameter value of 8192 characters.",
        )


def _put_secret(given: Mapping[str, Any]) -> None:
    size = len(str(given.get("SecretString", "")).encode())
    if size > SECRET_BYTES:
        raise _invalid(
            "ValidationException",
            "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member "
            f"must have length less than or equal to {SECRET_BYTES}",
        )


def _put_secret_policy(given: Mapping[str, Any]) -> None:
    document = str(given.get("ResourcePolicy", ""))
    if len(document) > SECRET_POLICY_CHARACTERS:
        raise _invalid(
            "ValidationException",
            f"The resource policy is larger than {SECRET_POLICY_CHARACTERS} characters.",
        )
    _readable(document, "MalformedPolicyDocumentException")


def _put_role_policy(given: Mapping[str, Any]) -> None:
    document = str(given.get("PolicyDocument", ""))
    _readable(document, "MalformedPolicyDocument")
    # IAM does not count white space towards its limits.
    if len(re.sub(r"\s", "", document)) > ROLE_POLICY_CHARACTERS:
        raise _invalid(
            "LimitExceeded",
            f"Maximum policy size of {ROLE_POLICY_CHARACTERS} bytes exceeded for role "
            f"{given.get('RoleName')}",
        )


def _put_trust_policy(given: Mapping[str, Any]) -> None:
    document = str(given.get("AssumeRolePolicyDocument") or given.get("PolicyDocument") or "")
    _readable(document, "MalformedPolicyDocument")
    for each in parse_policy(document):
        if each.resource or not each.principal:
            text = "Has prohibited field Resource" if each.resource else "Missing required field Principal"
            raise _invalid("MalformedPolicyDocument", text)
        if not each.action or any(not action.startswith("sts:") for action in each.action.values):
            text = "AssumeRole policy may only specify STS AssumeRole actions"
            raise _invalid("MalformedPolicyDocument", text)
    if len(re.sub(r"\s", "", document)) > TRUST_POLICY_CHARACTERS:
        raise _invalid("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_CHARACTERS}")


def _readable(document: str, code: str) -> None:
    try:
        parse_policy(document)
    except MalformedPolicyDocument as error:
        raise _invalid(code, str(error)) from error


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "ssm:PutParameter": _put_parameter,
    "secretsmanager:CreateSecret": _put_secret,
    "secretsmanager:PutSecretValue": _put_secret,
    "secretsmanager:UpdateSecret": _put_secret,
    "secretsmanager:PutResourcePolicy": _put_secret_policy,
    "iam:PutRolePolicy": _put_role_policy,
    "iam:CreateRole": _put_trust_policy,
    "iam:UpdateAssumeRolePolicy": _put_trust_policy,
}


def check_quotas(operation: Operation, body: bytes) -> None:
    """Refuses what AWS refuses for its size or form.

    Raises:
        Refusal: With the service's code and words.
    """
    check = _CHECKS.get(operation.full_name)
    if check is not None:
        check(operation.parameters)
    if operation.full_name == "s3:PutBucketPolicy":
        if len(body) > BUCKET_POLICY_BYTES:
            raise _invalid(
                "PolicyTooLarge",
                f"Policy exceeds the maximum allowed document size of {BUCKET_POLICY_BYTES}.",
            )
        _readable(body.decode(errors="replace"), "MalformedPolicy")
    if operation.name in ("CreateMultipartUpload", "UploadPart"):
        raise Refusal(
            Kind.UNKNOWN_OPERATION,
            "multipart uploads have no stand-in in the sandbox: upload the object in one piece (put_object)",
        )
