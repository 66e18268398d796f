"""S3 for an instance of the gateway."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pgpasswordless.aws import LOOPBACK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# botocore raises RuntimeError for temporary credentials that have expired and were not replaced.
UNREACHABLE = (BotoCoreError, ClientError, RuntimeError)
"""What a call raises that did not succeed."""


def objects_client(session: boto3.Session, region: str) -> S3Client:
    """S3 in `region`, at the endpoint of the process's environment."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    # A proxy cannot reach a loopback address of this machine.
    loopback = urlsplit(endpoint).hostname in LOOPBACK
    more: dict[str, Any] = {"proxies": {}, "s3": {"addressing_style": "path"}} if loopback else {}
    config = Config(
        connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3}, **more
    )
    return session.client("s3", region_name=region, config=config)
