"""Requests to AWS signed with the standard library (Signature Version 4).

Importing the SDK and its service models takes about a second of CPU; this takes a few milliseconds.
node's timer runs every few seconds and usually has nothing to do, so it reads the pointer this way.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

gateway/launcher.py signs its one request with a copy of this: it is user-data and runs before any file
of ours is on the machine. A test holds both to the same signature.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

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
    return _named_endpoint(service) or f"https://{service}.{region}.{_suffix(region)}"


def object_url(region: str, bucket: str, key: str) -> str:
    """Where S3 has an object: its newest version."""
    named = _named_endpoint("s3")
    store = f"{named}/{bucket}" if named else f"https://{bucket}.s3.{region}.{_suffix(region)}"
    return f"{store}/{quote(key)}"


def _named_endpoint(service: str) -> str:
    named = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    return (named or "").rstrip("/")


def _suffix(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def signed_headers(
    headers: Mapping[str, str],
    *,
    method: str,
    path: str,
    query: str = "",
    body: bytes,
    service: str,
    region: str,
    credentials: Credentials,
    now: str,
) -> dict[str, str]:
    """The headers of a request with its date, session token and signature added.

    Args:
        headers: every header to be signed, `host` among them, by its lower-case name.
        method: for example POST.
        path: already quoted.
        query: already quoted, its parameters in the order of their names.
        body: what is sent.
        service: as the signature names it, for example `logs`.
        region: of the service.
        credentials: whose signature it is.
        now: for example 20261123T120000Z.
    """
    whole = {**headers, "x-amz-date": now}
    if credentials.token:
        whole["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(whole))
    lines = "".join(f"{name}:{whole[name]}\n" for name in sorted(whole))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    )
    return {**whole, "authorization": authorization}


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
            credentials=self.credentials,
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
