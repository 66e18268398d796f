"""A token as it would have been signed earlier, to prove that an expired one is refused.

boto3 signs only for the current moment. Format: "Authenticating requests: using query parameters (AWS
Signature Version 4)" in the S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from urllib.parse import quote

from pgpasswordless.tokens import LIFE_SECONDS, TokenSource

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "rds-db"
NO_BODY = hashlib.sha256(b"").hexdigest()


def token_of(source: TokenSource, moment: datetime) -> str:
    """The token that `source` would have given at `moment` (UTC).

    Raises:
        TokenError: as calling `source`.
    """
    # Calling it determines the region and raises for every problem.
    source()
    credentials = source.credentials()
    time = moment.strftime("%Y%m%dT%H%M%SZ")
    scope = (time[:8], source.region or "", SERVICE, "aws4_request")
    values = {
        "Action": "connect",
        "DBUser": source.user,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": "/".join((credentials.access_key or "", *scope)),
        "X-Amz-Date": time,
        "X-Amz-Expires": str(LIFE_SECONDS),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.token:
        values["X-Amz-Security-Token"] = credentials.token
    query = "&".join(sorted(f"{name}={quote(value, safe='-_.~')}" for name, value in values.items()))
    netloc = f"{source.host}:{source.port}"
    request = "\n".join(("GET", "/", query, f"host:{netloc}", "", "host", NO_BODY))
    to_sign = "\n".join((ALGORITHM, time, "/".join(scope), hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (*scope, to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    return f"{netloc}/?{query}&X-Amz-Signature={key.hex()}"
