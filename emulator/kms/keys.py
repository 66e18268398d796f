"""KMS keys and aliases. Recorded: the endpoint encrypts nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, known, pattern_problem, text
from emulator.core.credentials import ACCOUNT
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused

KEY = "aws:kms/key:Key"


class Key(AwsType):
    """`kms.Key`."""

    token = KEY
    defaults: ClassVar[Mapping[str, Any]] = {
        "bypassPolicyLockoutSafetyCheck": False,
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "enableKeyRotation": False,
        "isEnabled": True,
        "keyUsage": "ENCRYPT_DECRYPT",
    }
    replace_on = frozenset(
        {"customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId", "region"}
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """A UUID."""
        return str(uuid.UUID(request.digest("key")[:32], version=4))

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """The waiting period."""
        days = inputs.get("deletionWindowInDays")
        if known(days) and not 7 <= int(days or 0) <= 30:
            yield Failure(
                "deletionWindowInDays",
                f"expected deletion_window_in_days to be in the range (7 - 30), got {days}",
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARN, and the policy that gives the account the key."""
        root = {
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
        default = json.dumps({"Id": "key-default-1", "Statement": [root], "Version": "2012-10-17"})
        return {
            "arn": request.arn("kms", f"key/{request.id}"),
            "keyId": request.id,
            "multiRegion": given(request.inputs, "multiRegion", False),
            "policy": given(request.inputs, "policy", default),
        }


class Alias(AwsType):
    """`kms.Alias`."""

    token = "aws:kms/alias:Alias"
    required = ("targetKeyId",)
    name_property = "name"
    name_maximum = 256
    replace_on = frozenset({"name", "namePrefix", "region"})
    taggable = False

    def form_name(self, name: str) -> str:
        """With the prefix that every alias has."""
        return f"alias/{name}"

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        if request.inputs.get("name") is not None:
            return request.inputs["name"]
        return text(request.inputs["namePrefix"], request.digest("name")[:26])

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name."""
        words = "must begin with 'alias/' and be comprised of only [a-zA-Z0-9/_-]"
        yield from pattern_problem(inputs, "name", r"alias/(?!aws/)[a-zA-Z0-9/_-]+", words)

    def refuse(self, request: AwsRequest) -> None:
        """Unknown key, or a name that is taken."""
        identifier = str(request.inputs["targetKeyId"]).rpartition("/")[2]
        self.existing(
            KEY, identifier, "creating KMS Alias: api error NotFoundException: Key '{id}' does not exist"
        )
        if self.taken(request):
            raise Refused(
                f"creating KMS Alias ({request.id}): api error AlreadyExistsException: An alias with the "
                f"name {request.id} already exists"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARNs."""
        key = request.inputs["targetKeyId"]
        target = UNKNOWN if key is UNKNOWN else request.arn("kms", f"key/{str(key).rpartition('/')[2]}")
        return {"arn": request.arn("kms", request.id), "name": request.id, "targetKeyArn": target}
