"""KMS keys and aliases. Recorded: the endpoint encrypts nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType
from emulator.core.checks import between, matching
from emulator.core.properties import UNKNOWN
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


class Alias(AwsType):
    """`kms.Alias`."""

    token = "aws:kms/alias:Alias"
    required = ("targetKeyId",)
    arn_format = ("kms", "{id}")
    name_property = "name"
    name_maximum = 256
    form_name = staticmethod(lambda name: f"alias/{name}")
    name_taken = (
        "creating KMS Alias ({id}): api error AlreadyExistsException: An alias with the name {id} already "
        "exists"
    )
    checks: ClassVar = {
        "name": (
            matching(
                r"alias/(?!aws/)[a-zA-Z0-9/_-]+",
                "must begin with 'alias/' and be comprised of only [a-zA-Z0-9/_-]",
            ),
        )
    }
    replace_on = ("name", "namePrefix")
    taggable = False

    def refuse(self, request: AwsRequest) -> None:
        self.existing(
            KEY,
            key_id(request.inputs["targetKeyId"]),
            "creating KMS Alias: api error NotFoundException: Key '{id}' does not exist",
        )

    def computed(self, request: AwsRequest) -> Properties:
        key = request.inputs["targetKeyId"]
        target = UNKNOWN if key is UNKNOWN else request.arn("kms", f"key/{key_id(key)}")
        return {"targetKeyArn": target}


def key_id(key: Any) -> str:
    """Id of a key that is given by id or ARN."""
    return str(key).rpartition("/")[2]
