"""Tokens of IAM database authentication: a presigned request that nobody sends. Pure; the clock is given.

Source: "Authenticating AWS requests: using query parameters (Signature Version 4)"; the presigner is
botocore.signers.RequestSigner.generate_presigned_url with the service `rds-db`.
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from botocore.awsrequest import AWSRequest

from emulator.endpoint.signature import ALGORITHM, signature

LONGEST_LIFE = timedelta(minutes=15)
CLOCK_SKEW = timedelta(minutes=5)
_SIGNATURE = "X-Amz-Signature"
# AWS's Go SDK leaves the slash out, and signs as with it.
_FORM = re.compile(r"(?P<netloc>[a-zA-Z0-9.:-]+)/?\?(?P<query>[!-~]+)")
_REQUIRED = frozenset(
    {
        "Action", "DBUser", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
        "X-Amz-SignedHeaders", _SIGNATURE,
    }
)  # fmt: skip
_KNOWN = _REQUIRED | {"X-Amz-Security-Token"}


class InvalidToken(Exception):
    """Not a token for this connection, or not signed by the owner of its key. Never says what it held."""


class ExpiredToken(Exception):
    """A token whose time is over."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a token must have been made for."""

    host: str
    port: int
    region: str
    user: str


@dataclass(frozen=True, kw_only=True)
class Token:
    """The parts of a token."""

    netloc: str
    values: dict[str, str] = field(repr=False)

    @property
    def access_key_id(self) -> str:
        """The access key that it should be signed with."""
        return self.values["X-Amz-Credential"].split("/", 1)[0]

    @property
    def session_token(self) -> str | None:
        """The session token of temporary credentials."""
        return self.values.get("X-Amz-Security-Token")

    @property
    def scope(self) -> str:
        """Date, region, service and terminator."""
        return self.values["X-Amz-Credential"].partition("/")[2]


def read_token(text: str) -> Token:
    """Parses a password.

    Raises:
        InvalidToken: It is not a token, but for example a password.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise InvalidToken("it is not a presigned request to /")
    try:
        pairs = parse_qsl(found["query"], keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise InvalidToken("its parameters cannot be read") from None
    names = Counter(name for name, _ in pairs)
    if max(names.values(), default=0) > 1 or not _REQUIRED <= set(names) <= _KNOWN:
        raise InvalidToken("its parameters are not those of a token")
    return Token(netloc=found["netloc"], values=dict(pairs))


def verify(token: Token, expected: Expected, secret_access_key: str, now: datetime) -> None:
    """Checks what a token was made for, its signature, and then its time.

    Raises:
        InvalidToken: It is for something else, or was changed, or is signed with another key.
        ExpiredToken: It is too old.
    """
    values = token.values
    if token.netloc != f"{expected.host}:{expected.port}":
        raise InvalidToken("it is for another host or port")
    if values["Action"] != "connect" or values["DBUser"] != expected.user:
        raise InvalidToken("it is for another user")
    if values["X-Amz-Algorithm"] != ALGORITHM or values["X-Amz-SignedHeaders"] != "host":
        raise InvalidToken("it is not signed as tokens are")
    signed_at, life = _signed_at(values["X-Amz-Date"]), _life(values["X-Amz-Expires"])
    if token.scope != f"{signed_at:%Y%m%d}/{expected.region}/rds-db/aws4_request":
        raise InvalidToken("it is for another region or service")
    if not hmac.compare_digest(_signature(token, secret_access_key).encode(), values[_SIGNATURE].encode()):
        raise InvalidToken("the signature does not match")
    if now < signed_at - CLOCK_SKEW:
        raise InvalidToken("it was signed in the future")
    if now >= signed_at + life:
        raise ExpiredToken


def _signed_at(text: str) -> datetime:
    # strptime also takes digits without their leading zeros.
    if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", text, re.ASCII):
        try:
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            pass
    raise InvalidToken("its date cannot be read")


def _life(text: str) -> timedelta:
    life = timedelta(seconds=int(text)) if re.fullmatch(r"[1-9][0-9]{0,5}", text, re.ASCII) else timedelta()
    if not timedelta() < life <= LONGEST_LIFE:
        raise InvalidToken("tokens live for 900 seconds at most")
    return life


def _signature(token: Token, secret_access_key: str) -> str:
    signed = {name: value for name, value in token.values.items() if name != _SIGNATURE}
    request = AWSRequest(method="GET", url=f"http://{token.netloc}/", params=signed, data=b"")
    request.headers["Host"] = token.netloc
    _, region, service, _ = token.scope.split("/")
    return signature(request, service, region, token.values["X-Amz-Date"], secret_access_key)
