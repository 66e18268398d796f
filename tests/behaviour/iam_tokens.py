"""RDS login tokens made by hand, so that a test can make wrong ones, and ones of another time.

Source: "Create a signed AWS API request" in the IAM User Guide, query parameters; RDS user guide,
"Connecting to your DB instance using IAM authentication".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import boto3

LIFETIME_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """An access key, of a user or of a session of a role."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: dict[str, str]) -> Credentials:
        """The key in AWS's usual variables."""
        return cls(
            access_key_id=environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            session_token=environment.get("AWS_SESSION_TOKEN"),
        )


def client(service: str, environment: dict[str, str], credentials: Credentials | None = None) -> Any:
    """A client on the sandbox's AWS with these credentials, the operator's by default."""
    key = credentials or Credentials.from_environment(environment)
    return boto3.session.Session().client(
        service,  # pyright: ignore[reportCallIssue, reportArgumentType]
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        aws_session_token=key.session_token,
    )


def assume(role_arn: str, environment: dict[str, str]) -> Credentials:
    """Credentials of a session of a role, as an application gets them."""
    found = client("sts", environment).assume_role(RoleArn=role_arn, RoleSessionName="application")[
        "Credentials"
    ]
    return Credentials(
        access_key_id=found["AccessKeyId"],
        secret_access_key=found["SecretAccessKey"],
        session_token=found["SessionToken"],
    )


def token(
    *, host: str, port: int, user: str, region: str, credentials: Credentials, at: datetime | None = None
) -> str:
    """A token for one user of one endpoint, signed at a moment, by default now."""
    moment = at or datetime.now(UTC)
    stamp, day = f"{moment:%Y%m%dT%H%M%SZ}", f"{moment:%Y%m%d}"
    scope = f"{day}/{region}/rds-db/aws4_request"
    query = {
        "Action": "connect",
        "DBUser": user,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(LIFETIME_SECONDS),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.session_token:
        query["X-Amz-Security-Token"] = credentials.session_token
    canonical_query = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    empty = hashlib.sha256(b"").hexdigest()
    canonical = "\n".join(("GET", "/", canonical_query, f"host:{host}:{port}\n", "host", empty))
    to_sign = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = b"AWS4" + credentials.secret_access_key.encode()
    for part in (day, region, "rds-db", "aws4_request", to_sign):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return f"{host}:{port}/?{canonical_query}&X-Amz-Signature={key.hex()}"
