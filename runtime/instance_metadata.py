"""The instance metadata service, version 2 (IMDSv2)."""

from __future__ import annotations

import http.client
import json
import os
from urllib.parse import urlsplit

from runtime.errors import FailedError

DEFAULT_ENDPOINT = "http://169.254.169.254"
TOKEN_SECONDS = 60


class InstanceMetadata:
    """One session with the service that $AWS_EC2_METADATA_SERVICE_ENDPOINT names, by default AWS's own."""

    def __init__(self) -> None:
        """Choose the endpoint; the first value asks for the session's token."""
        endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or DEFAULT_ENDPOINT
        self._endpoint = endpoint.rstrip("/")
        self._token: str | None = None

    def get(self, path: str) -> str:
        """The value below `/latest/meta-data/`, for example `instance-id`.

        Raises:
            FailedError: the service does not answer or has no such value.
        """
        return self._value(f"/latest/meta-data/{path}")

    def instance_id(self) -> str:
        """The id of this instance, `i-…`.

        Raises:
            FailedError: the service does not answer.
        """
        return self.get("instance-id").strip()

    def account_id(self) -> str:
        """The AWS account that this instance belongs to, from its identity document.

        Raises:
            FailedError: the service does not answer, or says something else.
        """
        path = "/latest/dynamic/instance-identity/document"
        text = self._value(path)
        try:
            return str(json.loads(text)["accountId"])
        except (ValueError, KeyError, TypeError) as error:
            raise FailedError(f"{path} of the metadata service names no account: {text!r}") from error

    def _value(self, path: str) -> str:
        if self._token is None:
            lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
            self._token = self._request("PUT", "/latest/api/token", lifetime)
        return self._request("GET", path, {"X-aws-ec2-metadata-token": self._token})

    def _request(self, method: str, path: str, headers: dict[str, str]) -> str:
        parts = urlsplit(self._endpoint)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=5)
        try:
            connection.request(method, parts.path + path, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise FailedError(
                f"the metadata service at {self._endpoint} does not answer: {error or type(error).__name__}"
            ) from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise FailedError(f"the metadata service answers {answer.status} to {method} {path}")
        return text
