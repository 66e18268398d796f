"""AWS Signature Version 4: checks that a request was signed by the owner of its access key.

Source: "Create a signed AWS API request" in the IAM User Guide; the derivation of the signing key and the
string to sign are those of `botocore.auth.SigV4Auth`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from botocore.utils import normalize_url_path

from emulator.core.exchange import HttpRequest

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"^{ALGORITHM}\s+Credential=(?P<key>[^/,\s]+)/(?P<date>\d{{8}})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})$"
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
    signed_headers: tuple[str, ...]
    signature: str

    @property
    def text(self) -> str:
        """The credential scope."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_scope(request: HttpRequest) -> Scope:
    """The scope of a request.

    Raises:
        MissingSignature: No Authorization header, or not one of Signature Version 4. Presigned URLs have no
            stand-in.
    """
    found = _AUTHORIZATION.match(request.header("Authorization") or "")
    if found is None:
        raise MissingSignature
    return Scope(
        access_key_id=found["key"],
        date=found["date"],
        region=found["region"],
        service=found["service"].lower(),
        signed_headers=tuple(found["headers"].split(";")),
        signature=found["signature"],
    )


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
    canonical = _canonical_request(request, scope, _payload_hash(request, scope))
    if not hmac.compare_digest(signature(canonical, stamp, scope.text, secret_access_key), scope.signature):
        raise WrongSignature("the calculated signature differs")


def signature(canonical: str, stamp: str, scope: str, secret_access_key: str) -> str:
    """The signature of a canonical request, in hexadecimal digits."""
    to_sign = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = b"AWS4" + secret_access_key.encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key.hex()


def _unsigned(request: HttpRequest, scope: Scope) -> str | None:
    names = {name.lower() for name, _ in request.headers}
    must = {"host", *(name for name in names if name.startswith("x-amz-"))}
    return next((name for name in sorted(must) if name not in scope.signed_headers), None)


def _payload_hash(request: HttpRequest, scope: Scope) -> str:
    declared = request.header("X-Amz-Content-SHA256")
    actual = hashlib.sha256(request.body).hexdigest()
    if scope.service == "s3" and declared == UNSIGNED_PAYLOAD:
        return declared
    if declared is not None and declared != actual:
        raise WrongSignature("X-Amz-Content-SHA256 is not the SHA-256 of the body")
    return actual


def _canonical_request(request: HttpRequest, scope: Scope, payload_hash: str) -> str:
    # S3 signs the path as sent; every other service signs it normalised and encoded once more.
    path = request.raw_path or "/"
    if scope.service != "s3":
        path = quote(normalize_url_path(path), safe="/~")
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(request.raw_query, keep_blank_values=True)
    )
    headers = "".join(f"{name}:{_canonical_value(request, name)}\n" for name in scope.signed_headers)
    return "\n".join(
        (
            request.method,
            path,
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(scope.signed_headers),
            payload_hash,
        )
    )


def _canonical_value(request: HttpRequest, name: str) -> str:
    values = [" ".join(value.split()) for key, value in request.headers if key.lower() == name]
    return ",".join(values)
