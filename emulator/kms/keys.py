"""KMS keys. Recorded: the endpoint encrypts nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType
from emulator.core.checks import between
from emulator.core.resource_type import Properties
from emulator.endpoint.credentials import ACCOUNT

KEY = "aws:kms/key:Key"
# Gives the account the key, as AWS does where a key has no policy of its own.
_DEFAULT_POLICY = {
    "Id": "key-default-1",
    "Statement": [
        {
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
    "Version": "2012-10-17",
}


class Key(AwsType):
    """`kms.Key`."""

    token = KEY
    arn_format = ("kms", "key/{id}")
    defaults: ClassVar[Mapping[str, Any]] = {
        "bypassPolicyLockoutSafetyCheck": False,
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "enableKeyRotation": False,
        "isEnabled": True,
        "keyUsage": "ENCRYPT_DECRYPT",
    }
    checks: ClassVar = {"deletionWindowInDays": (between(7, 30),)}
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "multiRegion": False,
        "policy": json.dumps(_DEFAULT_POLICY),
    }
    replace_on = ("customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId")

    def resource_id(self, request: AwsRequest) -> Any:
        return request.uuid("key")

    def computed(self, request: AwsRequest) -> Properties:
        return {"keyId": request.id}


def key_id(key: Any) -> str:
    """Id of a key that is given by id or ARN."""
    return str(key).rpartition("/")[2]
