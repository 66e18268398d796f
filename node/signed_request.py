"""Calls to AWS's JSON services (Systems Manager, CloudWatch Logs), signed with the standard library.

The timer runs the node every few seconds and nearly always there is nothing to do. Importing the SDK
and its service models takes about a second of CPU each time; this takes a few milliseconds. What
happens only when there is something to do goes through the SDK (fetch.py, report.py).
Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import json
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from node.errors import FailedError
from node.instance_metadata import InstanceMetadata

TIMEOUT_SECONDS = 10


class AwsError(FailedError):
    """AWS answered with an error; `code` is its name, for example `ResourceNotFoundException`."""

    def __init__(self, code: str, text: str) -> None:
        """Keep AWS's name of the error beside the text."""
        self.code = code
        super().__init__(text)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Temporary or static keys; never shown."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def find(cls) -> Credentials:
        """From the environment, else those of the instance's role.

        Raises:
            FailedError: neither has any.
        """
        if "AWS_ACCESS_KEY_ID" in os.environ:
            return cls(
                access_key=os.environ["AWS_ACCESS_KEY_ID"],
                secret_key=os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
                token=os.environ.get("AWS_SESSION_TOKEN"),
            )
        metadata = InstanceMetadata()
        role = metadata.get("iam/security-credentials/").strip()
        try:
            document = json.loads(metadata.get(f"iam/security-credentials/{role}"))
            return cls(
                access_key=document["AccessKeyId"],
                secret_key=document["SecretAccessKey"],
                token=document["Token"],
            )
        except (KeyError, ValueError) as error:
            raise FailedError(f"the metadata service has no credentials for role {role}") from error


def endpoint(service: str, region: str) -> str:
    """The service's URL: $AWS_ENDPOINT_URL_<SERVICE>, $AWS_ENDPOINT_URL or AWS's own."""
    named = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return (named or f"https://{service}.{region}.{suffix}").rstrip("/")


def signature_headers(
    *, service: str, region: str, host: str, target: str, body: bytes, credentials: Credentials, now: str
) -> dict[str, str]:
    """The headers of a POST to `/`, with its signature; `now` as 20261123T120000Z."""
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": host,
        "x-amz-date": now,
        "x-amz-target": target,
    }
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    signed = ";".join(sorted(headers))
    canonical_headers = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"POST\n/\n\n{canonical_headers}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={signed}, Signature={key.hex()}"
    )
    return {**headers, "authorization": authorization}


@dataclass(frozen=True, kw_only=True)
class SignedRequests:
    """Calls to one region with one set of credentials."""

    region: str
    credentials: Credentials

    def call(self, service: str, target: str, payload: dict[str, Any]) -> dict[str, Any]:
        """One call, for example ("ssm", "AmazonSSM.GetParameter", {"Name": …}), without retries.

        Raises:
            AwsError: AWS refuses; the text names call and reason.
            FailedError: AWS cannot be reached.
        """
        url = urlsplit(endpoint(service, self.region))
        body = json.dumps(payload).encode()
        headers = signature_headers(
            service=service,
            region=self.region,
            host=url.netloc,
            target=target,
            body=body,
            credentials=self.credentials,
            now=datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ"),
        )
        scheme = http.client.HTTPConnection if url.scheme == "http" else http.client.HTTPSConnection
        connection = scheme(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", "/", body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise FailedError(f"{url.netloc} cannot be reached: {error or type(error).__name__}") from error
        finally:
            connection.close()
        try:
            document = json.loads(text) if text else {}
        except ValueError:
            document = {}
        if answer.status != http.client.OK:
            code = str(document.get("__type", answer.status)).rsplit("#", maxsplit=1)[-1]
            reason = document.get("message") or document.get("Message") or answer.reason
            raise AwsError(code, f"{target}: {code}: {reason}")
        return document
