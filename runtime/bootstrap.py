"""How a launcher gets a program from S3 while nothing of ours is on the machine: by the standard library.

Part of every machine's user-data: a changed byte replaces all machines. Requests are signed (Signature
Version 4) with the credentials that the instance's metadata service gives out.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import datetime
import hashlib
import hmac
import http.client
import json
import os
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

LINK_LOCAL = "http://169.254.169.254"
TOKEN_SECONDS = "60"
IDENTITY = "dynamic/instance-identity/document"
ROLE = "meta-data/iam/security-credentials/"


class BootstrapError(Exception):
    """The program cannot be had; the text says why."""


def digest(data: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def ask(method: str, url: str, headers: Mapping[str, str], seconds: float) -> bytes:
    """The answer to a request without a body; redirects and proxies are not followed."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    where = f"{parts.scheme}://{parts.netloc}{parts.path}"
    connection = kind(parts.netloc, timeout=seconds)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BootstrapError(f"{where}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise BootstrapError(f"{where} answers {answer.status} {answer.reason}")
    return data


class Metadata:
    """A session with the instance metadata service (IMDSv2)."""

    def __init__(self) -> None:
        """Ask for the session's token."""
        service = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or LINK_LOCAL
        self._base = service.rstrip("/") + "/latest/"
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": TOKEN_SECONDS}
        token = ask("PUT", f"{self._base}api/token", ttl, 5).decode()
        self._headers = {"X-aws-ec2-metadata-token": token}

    def get(self, path: str) -> str:
        """A value, for example that of `meta-data/instance-id`."""
        return ask("GET", self._base + path, self._headers, 5).decode().strip()

    def credentials(self) -> dict[str, str]:
        """Those of the instance's role: AccessKeyId, SecretAccessKey, Token."""
        return json.loads(self.get(ROLE + self.get(ROLE)))


def account(document: str) -> str:
    """The AWS account that an instance's identity document names."""
    return str(json.loads(document)["accountId"])


def signed_headers(
    headers: Mapping[str, str],
    *,
    method: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    service: str,
    region: str,
    identity: Mapping[str, str],
    now: str,
) -> dict[str, str]:
    """The headers of a request with its date, session token and signature added.

    `headers` are all that is signed, `host` among them, by their lower-case names; `path` and `query` are
    quoted; `identity` has AccessKeyId and SecretAccessKey, and a Token if it is temporary; `now` is a moment
    such as 20261123T120000Z.
    """
    whole = {**headers, "x-amz-date": now}
    if identity.get("Token"):
        whole["x-amz-security-token"] = identity["Token"]
    names = ";".join(sorted(whole))
    lines = "".join(f"{name}:{whole[name]}\n" for name in sorted(whole))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest(body)}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest(canonical.encode())}"
    key = f"AWS4{identity['SecretAccessKey']}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={identity['AccessKeyId']}/{scope}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    )
    return {**whole, "authorization": authorization}


def endpoint(service: str, region: str, host: str = "") -> str:
    """A service's URL: $AWS_ENDPOINT_URL_<SERVICE>, $AWS_ENDPOINT_URL or AWS's own, where `host` has it."""
    named = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return named.rstrip("/") if named else f"https://{host or service}.{region}.{suffix}"


def object_url(region: str, bucket: str, key: str) -> str:
    """Where S3 has an object: its newest version."""
    own = f"{bucket}.s3"
    store = endpoint("s3", region, own)
    return f"{store}/{quote(key)}" if f"//{own}." in store else f"{store}/{bucket}/{quote(key)}"


def read_object(region: str, bucket: str, key: str, version: str = "") -> bytes:
    """An object in a bucket of the instance's own account, in its newest version if none is named."""
    metadata = Metadata()
    url = urlsplit(object_url(region, bucket, key))
    query = f"versionId={quote(version, safe='')}" if version else ""
    headers = signed_headers(
        {
            "host": url.netloc,
            "x-amz-content-sha256": digest(b""),
            "x-amz-expected-bucket-owner": account(metadata.get(IDENTITY)),
        },
        method="GET",
        path=url.path,
        query=query,
        service="s3",
        region=region,
        identity=metadata.credentials(),
        now=datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ"),
    )
    return ask("GET", url._replace(query=query).geturl(), headers, 60)


def read_artifact(region: str, artifact: Mapping[str, str]) -> bytes:
    """A program's file, which `artifact` names by bucket, key, version and SHA-256."""
    data = read_object(region, artifact["bucket"], artifact["key"], artifact["version"])
    if digest(data) != artifact["sha256"]:
        raise BootstrapError(f"{artifact['key']} has SHA-256 {digest(data)}, not {artifact['sha256']}")
    return data
