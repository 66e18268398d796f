"""Credentials of the loopback AWS: the operator's fixed key, and sessions of roles.

A session is remembered in its own token, signed with a key of this sandbox, so that it outlives a restart.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emulator.iam.policy import Caller
from runtime.files import replace_file

ACCOUNT = "123456789012"
REGION = "eu-central-1"
OPERATOR_ARN = f"arn:aws:iam::{ACCOUNT}:user/operator"
# What a token says of its session.
_CLAIMS = {"role": "role_arn", "id": "role_id", "name": "name", "until": "expiration", "facts": "facts"}


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """A key pair as a client uses it; its text never shows the secret parts."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expiration: float | None = None

    def environment(self) -> dict[str, str]:
        """Environment variables by which AWS's SDKs take the key."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        if self.session_token:
            variables["AWS_SESSION_TOKEN"] = self.session_token
        return variables

    def environment_at(self, endpoint_url: str) -> dict[str, str]:
        """Environment variables with which AWS's SDKs and tools use the key on an endpoint, in `REGION`."""
        return {
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **self.environment(),
        }


@dataclass(frozen=True, kw_only=True)
class Session:
    """A role's session.

    Attributes:
        role_arn: ARN of the role, with its path.
        role_id: The role's unique id, `AROA…`.
        name: Session name; the instance id when it comes from an instance's metadata service.
        expiration: Seconds since the epoch.
        facts: Context keys that the session carries, such as `ec2:SourceInstanceARN`.
    """

    role_arn: str
    role_id: str
    name: str
    expiration: float
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def role_name(self) -> str:
        """Name of the role, without its path."""
        return self.role_arn.rsplit("/", 1)[-1]

    @property
    def arn(self) -> str:
        """ARN of the session, as AWS's messages and GetCallerIdentity give it."""
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{self.role_name}/{self.name}"

    @property
    def identity(self) -> Identity:
        """Who calls in this session."""
        caller = Caller(arn=self.arn, principal_arn=self.role_arn, account=ACCOUNT)
        return Identity(caller=caller, user_id=f"{self.role_id}:{self.name}", session=self)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whom a key belongs to: the operator (no session) or a role's session."""

    caller: Caller
    user_id: str
    session: Session | None = None

    @property
    def is_operator(self) -> bool:
        """Whether this is the operator, who has every right that a resource policy does not deny."""
        return self.session is None


class UnknownKey(Exception):
    """The access key, or the token that must come with it, was not issued here."""


class ExpiredToken(Exception):
    """The session is over."""


class Credentials:
    """Issues and recognises keys.

    Args:
        folder: Where the operator's key and the signing key lie, as files of mode 0600; made when absent.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.operator = _operator_key(folder / "operator.json")
        self._signing_key = bytes.fromhex(_kept(folder / "session-key", lambda: secrets.token_hex(32)))

    def issue(self, session: Session) -> AccessKey:
        """A new key for a session."""
        key_id = "ASIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        claims = json.dumps(
            {"key": key_id, **{claim: getattr(session, name) for claim, name in _CLAIMS.items()}}
        ).encode()
        return AccessKey(
            access_key_id=key_id,
            secret_access_key=self._secret(key_id),
            session_token=base64.b64encode(self._mac(b"token", claims) + claims).decode(),
            expiration=session.expiration,
        )

    def recognise(self, access_key_id: str, session_token: str | None) -> tuple[Identity, str]:
        """The owner of a key, and its secret part for the check of a signature.

        Raises:
            UnknownKey: It was not issued here, or comes without its token.
            ExpiredToken: Its session is over.
        """
        if access_key_id == self.operator.access_key_id:
            caller = Caller(arn=OPERATOR_ARN, principal_arn=OPERATOR_ARN, account=ACCOUNT)
            return Identity(caller=caller, user_id="AIDASANDBOXOPERATOR00"), self.operator.secret_access_key
        session = self._session(access_key_id, session_token or "")
        if session.expiration <= time.time():
            raise ExpiredToken(session.arn)
        return session.identity, self._secret(access_key_id)

    def _session(self, access_key_id: str, token: str) -> Session:
        try:
            raw = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            raise UnknownKey(access_key_id) from None
        mac, claims = raw[:32], raw[32:]
        if not hmac.compare_digest(mac, self._mac(b"token", claims)):
            raise UnknownKey(access_key_id)
        found = json.loads(claims)
        if found["key"] != access_key_id:
            raise UnknownKey(access_key_id)
        return Session(**{name: found[claim] for claim, name in _CLAIMS.items()})

    def _secret(self, key_id: str) -> str:
        return base64.b64encode(self._mac(b"secret", key_id.encode())).decode()[:40]

    def _mac(self, purpose: bytes, message: bytes) -> bytes:
        return hmac.digest(self._signing_key, purpose + b"\0" + message, hashlib.sha256)


def _operator_key(path: Path) -> AccessKey:
    def make() -> str:
        key_id = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        return json.dumps({"accessKeyId": key_id, "secretAccessKey": secrets.token_urlsafe(30)})

    stored = json.loads(_kept(path, make))
    return AccessKey(access_key_id=stored["accessKeyId"], secret_access_key=stored["secretAccessKey"])


def _kept(path: Path, make: Callable[[], str]) -> str:
    if path.exists():
        return path.read_text()
    text = make()
    replace_file(path, text)
    return text
