"""AWS Signature Version 4: checks that a request was signed by the owner of its access key.

Source: "Create a signed AWS API request" in the IAM User Guide. botocore calculates the signature.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from emulator.endpoint.exchange import HttpRequest

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"^{ALGORITHM}\s+Credential=(?P<access_key_id>[^/,\s]+)/(?P<date>\d{{8}})/(?P<region>[^/,\s]+)/"
    r"(?P<service>[^/,\s]+)/aws4_request,\s*SignedHeaders=(?P<signed_headers>[^,\s]+),\s*"
    r"Signature=(?P<signature>[0-9a-f]{64})$"
)
_CLOCK_SKEW = timedelta(minutes=15)


class MissingSignature(Exception):
    """The request has no usable Authorization header."""


class WrongSignature(Exception):
    """The signature does not match the request; the message is for people."""


class WrongTime(Exception):
    """The request was signed more than 15 minutes before or after now."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What an Authorization header says about itself."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: Sequence[str]
    signature: str


def read_scope(request: HttpRequest) -> Scope:
    """The scope of a request.

    Raises:
        MissingSignature: No Authorization header, or not one of Signature Version 4. Presigned URLs have no
            stand-in.
    """
    found = _AUTHORIZATION.match(request.header("Authorization") or "")
    if found is None:
        raise MissingSignature
    scope: dict[str, Any] = found.groupdict()
    scope |= {"service": found["service"].lower(), "signed_headers": found["signed_headers"].split(";")}
    return Scope(**scope)


def verify(request: HttpRequest, scope: Scope, secret_access_key: str, now: datetime | None = None) -> None:
    """Checks signature, payload hash and time.

    Raises:
        WrongSignature: Anything that was signed differs, or something that must be signed was not.
        WrongTime: Signed too long ago, or in the future.
    """
    stamp = request.header("X-Amz-Date") or ""
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise WrongSignature("X-Amz-Date is missing or not of the form YYYYMMDDTHHMMSSZ") from None
    if not stamp.startswith(scope.date):
        raise WrongSignature("the date in the credential scope is not that of X-Amz-Date")
    if abs((now or datetime.now(UTC)) - signed_at) > _CLOCK_SKEW:
        raise WrongTime(stamp)
    if missing := _unsigned(request, scope):
        raise WrongSignature(f"header {missing} must be signed")
    _refuse_another_payload(request, scope)
    if not hmac.compare_digest(_signature(request, scope, stamp, secret_access_key), scope.signature):
        raise WrongSignature("the calculated signature differs")


def _unsigned(request: HttpRequest, scope: Scope) -> str | None:
    names = {name.lower() for name, _ in request.headers}
    must = {"host", *(name for name in names if name.startswith("x-amz-"))}
    return next((name for name in sorted(must) if name not in scope.signed_headers), None)


def _refuse_another_payload(request: HttpRequest, scope: Scope) -> None:
    declared = request.header("X-Amz-Content-SHA256")
    if scope.service == "s3" and declared == UNSIGNED_PAYLOAD:
        return
    if declared not in (None, hashlib.sha256(request.body).hexdigest()):
        raise WrongSignature("X-Amz-Content-SHA256 is not the SHA-256 of the body")


def _signature(request: HttpRequest, scope: Scope, stamp: str, secret_access_key: str) -> str:
    query = request.raw_query and f"?{request.raw_query}"
    signed = AWSRequest(
        method=request.method, url=f"http://signed{request.raw_path or '/'}{query}", data=request.body
    )
    for name, value in request.headers:
        if name.lower() in scope.signed_headers:
            signed.headers[name] = value
    return signature(signed, scope.service, scope.region, stamp, secret_access_key)


def signature(request: AWSRequest, service: str, region: str, stamp: str, secret_access_key: str) -> str:
    """The signature that botocore makes of a request, in hexadecimal digits.

    Args:
        request: With the headers that are signed, and no other ones.
        region: Of the credential scope.
        stamp: Time of the signature, as in `X-Amz-Date`.
        secret_access_key: The signer's.
    """
    auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(
        Credentials("", secret_access_key), service, region
    )
    request.context["timestamp"] = stamp
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
