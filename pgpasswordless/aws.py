"""AWS clients for a stack's environment, which do not change the environment of the process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Aws:
    """Makes clients from `environment`, whose keys are the AWS CLI's environment variables.

    What `environment` does not define comes from boto3's default chain.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """No client is made and no credential is looked up yet."""
        self._environment = dict(environment)

    def _options(self, arn: str | None) -> dict[str, Any]:
        """Keyword arguments of `Session.client`."""
        endpoint = self._environment.get("AWS_ENDPOINT_URL")
        # A proxy from the operator's shell must not be used for an address of this machine.
        loopback = endpoint is not None and urlsplit(endpoint).hostname in LOOPBACK
        region = arn.split(":")[3] if arn and arn.count(":") >= 5 else None
        return {
            "endpoint_url": endpoint,
            "region_name": region,
            "config": Config(
                connect_timeout=5,
                read_timeout=20,
                retries={"mode": "standard", "max_attempts": 3},
                proxies={} if loopback else None,
                s3={"addressing_style": "path"} if endpoint else None,
            ),
        }

    def session(self) -> boto3.Session:
        """A boto3 session with the stack's credentials."""
        return self._session

    @cached_property
    def _session(self) -> boto3.Session:
        # One session for all clients: it reads the services' descriptions once.
        return boto3.Session(
            aws_access_key_id=self._environment.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self._environment.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=self._environment.get("AWS_SESSION_TOKEN"),
            profile_name=self._environment.get("AWS_PROFILE"),
            region_name=self._environment.get("AWS_REGION") or self._environment.get("AWS_DEFAULT_REGION"),
        )

    def secrets(self, arn: str) -> SecretsManagerClient:
        """Secrets Manager in the region of the secret `arn`."""
        return self._session.client("secretsmanager", **self._options(arn))

    def logs(self, arn: str) -> CloudWatchLogsClient:
        """CloudWatch Logs in the region of the resource `arn`."""
        return self._session.client("logs", **self._options(arn))

    def databases(self, region: str) -> RDSClient:
        """RDS in `region`."""
        return self._session.client("rds", **self._options(f"arn:aws:rds:{region}::"))

    def account(self) -> str:
        """The account of the stack's credentials."""
        return self._session.client("sts", **self._options(None)).get_caller_identity()["Account"]

    def objects(self) -> S3Client:
        """S3."""
        return self._session.client("s3", **self._options(None))


def reason(error: Exception) -> str:
    """AWS's error code and message, in one line."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        return f"{details.get('Code', 'error')}: {details.get('Message', 'no message')}"
    return str(error)
