"""IAM tokens, by which the administrator logs in instead of by a password."""

from __future__ import annotations

import boto3
from botocore.exceptions import BotoCoreError

from runtime.errors import FailedError


def login_token(*, host: str, port: int, user: str, region: str) -> str:
    """A token for one login within 15 minutes, signed here: AWS is not asked.

    Raises:
        FailedError: the function has no credentials.
    """
    try:
        client = boto3.client("rds", region_name=region)
        return client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region)
    except BotoCoreError as error:
        raise FailedError(f"no IAM token for {user} on {host}:{port} can be signed: {error}") from error
