"""Requests to AWS signed with the standard library (Signature Version 4).

Importing the SDK and its service models takes about a second of CPU; this takes a few milliseconds.
node's timer runs every few seconds and usually has nothing to do, so it reads the manifest this way.
"""

from __future__ import annotations

import datetime
import hashlib
import http.client
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from runtime.bootstrap import endpoint, object_url, signed_headers
from runtime.errors import FailedError
from runtime.instance_metadata import InstanceMetadata

TIMEOUT_SECONDS = 10


class AwsError(FailedError):
    """AWS answered with an error; `code` is its name, for example `ResourceNotFoundException`."""

    def __init__(self, code: str, text: str) -> None:
        """Keep AWS's name of the error beside the text."""
        self.code = code
        super().__init__(text)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Temporary or static keys; `repr` shows no secret."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def find(cls) -> Credentials:
        """From the environment, or else those of the instance's role.

        Raises:
            FailedError: neither has any.
        """
        if "AWS_ACCESS_KEY_ID" in os.environ:
            return cls(
                access_key=os.environ["AWS_ACCESS_KEY_ID"],
                secret_key=os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
                token=os.environ.get("AWS_SESSION_TOKEN"),
            )
        document = InstanceMetadata().credentials()
        return cls(
            access_key=document["AccessKeyId"],
            secret_key=document["SecretAccessKey"],
            token=document["Token"],
        )

    def identity(self) -> dict[str, str]:
        """As `signed_headers` takes it."""
        return {
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token or "",
        }


@dataclass(frozen=True, kw_only=True)
class SignedRequests:
    """Calls to the JSON services of one region (CloudWatch Logs), and reads of S3, with one identity."""

    region: str
    credentials: Credentials

    def call(self, service: str, target: str, payload: dict[str, Any]) -> dict[str, Any]:
        """One call, for example ("logs", "Logs_20140328.PutLogEvents", {…}), without retries.

        Raises:
            AwsError: AWS refuses; the text names call and reason.
            FailedError: AWS cannot be reached.
        """
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        url = f"{endpoint(service, self.region)}/"
        answer, text = self._send("POST", url, service, headers, json.dumps(payload).encode())
        try:
            document = json.loads(text) if text else {}
        except ValueError:
            document = {}
        if answer.status != http.client.OK:
            code = str(document.get("__type", answer.status)).rsplit("#", maxsplit=1)[-1]
            reason = document.get("message") or document.get("Message") or answer.reason
            raise AwsError(code, f"{target}: {code}: {reason}")
        return document

    def object(self, bucket: str, key: str, owner: str) -> bytes:
        """The newest version of an object in a bucket of the account `owner`, without retries.

        Raises:
            AwsError: S3 refuses; the text names object and reason.
            FailedError: S3 cannot be reached.
        """
        headers = {
            "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
            "x-amz-expected-bucket-owner": owner,
        }
        answer, content = self._send("GET", object_url(self.region, bucket, key), "s3", headers, b"")
        if answer.status != http.client.OK:
            found = re.search(r"<Code>(\w+)</Code>", content.decode(errors="replace"))
            code = found[1] if found else str(answer.status)
            raise AwsError(code, f"s3://{bucket}/{key}: {code}: {answer.reason}")
        return content

    def _send(
        self, method: str, where: str, service: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[http.client.HTTPResponse, bytes]:
        url = urlsplit(where)
        signed = signed_headers(
            {**headers, "host": url.netloc},
            method=method,
            path=url.path,
            body=body,
            service=service,
            region=self.region,
            identity=self.credentials.identity(),
            now=datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ"),
        )
        scheme = http.client.HTTPConnection if url.scheme == "http" else http.client.HTTPSConnection
        connection = scheme(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, url.path, body=body or None, headers=signed)
            answer = connection.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise FailedError(f"{url.netloc} cannot be reached: {error or type(error).__name__}") from error
        finally:
            connection.close()
