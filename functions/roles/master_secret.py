"""The secret in which RDS keeps and rotates the master's password: read when needed, kept nowhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.errors import FailedError

# A VPC without a way to Secrets Manager is to be told within the time that the function has.
_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3, "mode": "standard"})
_PERMISSION_MAY_BE_ON_ITS_WAY = ("AccessDenied", "AccessDeniedException")


@dataclass(frozen=True, kw_only=True)
class Master:
    """Name and password of the master user."""

    username: str
    password: str = field(repr=False)


class SecretNotReadableYet(FailedError):
    """The function's role may not read it; a permission takes seconds to arrive everywhere."""


def read_master(secret_arn: str, region: str) -> Master:
    """The master user as Secrets Manager has it now.

    Raises:
        SecretNotReadableYet: the role may not read it.
        FailedError: it cannot be read otherwise, or is not what RDS writes.
    """
    try:
        client = boto3.client("secretsmanager", region_name=region, config=_CONFIG)
        text = client.get_secret_value(SecretId=secret_arn)["SecretString"]
    except ClientError as error:
        words = f"the master's secret {secret_arn} cannot be read: {error}"
        if error.response.get("Error", {}).get("Code") in _PERMISSION_MAY_BE_ON_ITS_WAY:
            raise SecretNotReadableYet(words) from error
        raise FailedError(words) from error
    except BotoCoreError as error:
        raise FailedError(f"the master's secret {secret_arn} cannot be read: {error}") from error
    except KeyError:
        raise FailedError(f"the master's secret {secret_arn} holds no text") from None
    try:
        document = json.loads(text)
        return Master(username=document["username"], password=document["password"])
    except (ValueError, TypeError, KeyError):
        # Without the cause, which may quote the secret.
        raise FailedError(
            f"the master's secret {secret_arn} is not the JSON with username and password that RDS keeps"
        ) from None
