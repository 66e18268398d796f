"""What logs in to the server: the master's password and the administrator's IAM tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.errors import FailedError

# A VPC without a route to Secrets Manager must be reported within the function's own time.
_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3, "mode": "standard"})
_ACCESS_DENIED = ("AccessDenied", "AccessDeniedException")


@dataclass(frozen=True, kw_only=True)
class Master:
    """Name and password of the master user."""

    username: str
    password: str = field(repr=False)


class SecretAccessDenied(FailedError):
    """The function's role may not read the secret; a new permission takes seconds to arrive everywhere."""


def read_master(secret_arn: str, region: str) -> Master:
    """The master user as Secrets Manager has it now; the password is kept nowhere.

    Raises:
        SecretAccessDenied: the role may not read it.
        FailedError: it cannot be read for another reason, or RDS did not write it.
    """
    try:
        client = boto3.client("secretsmanager", region_name=region, config=_CONFIG)
        text = client.get_secret_value(SecretId=secret_arn)["SecretString"]
    except ClientError as error:
        message = f"the master's secret {secret_arn} cannot be read: {error}"
        if error.response.get("Error", {}).get("Code") in _ACCESS_DENIED:
            raise SecretAccessDenied(message) from error
        raise FailedError(message) from error
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


def login_token(*, host: str, port: int, user: str, region: str) -> str:
    """A token for one login within 15 minutes; it is signed here, without a call to AWS.

    Raises:
        FailedError: the function has no credentials.
    """
    try:
        client = boto3.client("rds", region_name=region)
        return client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region)
    except BotoCoreError as error:
        raise FailedError(f"no IAM token for {user} on {host}:{port} can be signed: {error}") from error
