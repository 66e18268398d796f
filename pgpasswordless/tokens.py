"""Tokens of RDS IAM database authentication: the password of one login, valid for 15 minutes.

The server checks a token only when a connection is opened, so a pool must request one for each new
connection instead of keeping its first. `TokenSource` is what a pool is given for that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from pgpasswordless.aws import reason
from pgpasswordless.errors import TokenError
from pgpasswordless.rds_names import (
    canonical_name,
    dsql_region,
    in_rds,
    is_near,
    may_be_alias,
    normalised,
    region_in,
)

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_rds import RDSClient

LIFE_SECONDS = 900
# The part of a token's life that differing clocks and a slow connection may cost.
MARGIN_SECONDS = 120

_signing: ContextVar[bool] = ContextVar("pgpasswordless_signing", default=False)


class _SigningUnlogged(logging.Filter):
    """Drops what botocore logs at DEBUG while it signs: a token could be assembled from it."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  the signature is logging's
        return not _signing.get()


logging.getLogger("botocore.auth").addFilter(_SigningUnlogged())


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep what this thread or task signs in the block out of botocore's log."""
    mark = _signing.set(True)
    try:
        yield
    finally:
        _signing.reset(mark)


@dataclass(frozen=True, kw_only=True)
class _Signed:
    token: str = field(repr=False)
    at: float
    credentials: ReadOnlyCredentials = field(repr=False)


class TokenSource:
    """Returns a token that is valid for a login now; call it for each new connection.

    Tokens are kept until shortly before they expire, or until the credentials that signed them are
    replaced. One source serves one endpoint and user; threads may share it.

    With psycopg `password=source()`, with psycopg_pool `kwargs=source.keywords(**parameters)`, with
    asyncpg `password=source.without_blocking`, with SQLAlchemy
    `event.listen(engine, "do_connect", source.do_connect)`.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        region: str | None = None,
        session: boto3.Session | None = None,
        known_endpoint: bool = False,
        clock: Callable[[], float] = time.time,
        look_up: Callable[[str], str | None] = canonical_name,
    ) -> None:
        """No credential is looked up yet.

        Args:
            host: the endpoint's own name, not an alias and not the near end of a tunnel: RDS verifies the
                signature for that name.
            port: TCP port of the endpoint, not of a tunnel.
            user: database role, case-sensitive.
            region: of the database; None for the one in `host`, or else the session's.
            session: its credentials sign; boto3's default session when None.
            known_endpoint: `host` was not typed but is from a stack, whose emulated RDS is on this machine;
                otherwise addresses and `localhost` are refused.
            clock: seconds since 1970.
            look_up: returns the canonical name of a host, None when there is none.

        Raises:
            TokenError: the host name contains another region than `region`, or none and `region` is not
                given; it is Aurora DSQL's; or it is an address.
        """
        _require_name_to_sign(host, port, region, known_endpoint=known_endpoint)
        self.host = normalised(host)
        self.port = port
        self.user = user
        self.region = region or region_in(host)
        self._session = session
        self._client: RDSClient | None = None
        self._clock = clock
        self._look_up = look_up
        self._lock = threading.Lock()
        self._signed: _Signed | None = None

    def __repr__(self) -> str:
        """Host, port, user and region; no token."""
        return (
            f"TokenSource(host={self.host!r}, port={self.port}, user={self.user!r}, region={self.region!r})"
        )

    def __call__(self) -> str:
        """A token: the previous one while it is valid.

        Raises:
            TokenError: there are no credentials, or they have expired; there is no region; or the host is
                an alias of an endpoint.
        """
        with self._lock:
            with _expected_errors(self.user):
                credentials = self.credentials()
            now = self._clock()
            kept = self._signed
            # A clock that was set back does not tell a token's age.
            if (
                kept
                and kept.credentials == credentials
                and 0 <= now - kept.at < LIFE_SECONDS - MARGIN_SECONDS
            ):
                return kept.token
            self._signed = None
            self._require_endpoint()
            with _expected_errors(self.user), unlogged():
                client = self._rds()
                token = client.generate_db_auth_token(
                    DBHostname=self.host, Port=self.port, DBUsername=self.user, Region=client.meta.region_name
                )
            self._signed = _Signed(token=token, at=now, credentials=credentials)
            return token

    async def without_blocking(self) -> str:
        """A token for an asynchronous program; credentials may have to be fetched over the network."""
        return await asyncio.to_thread(self)

    def keywords(self, **parameters: Any) -> Callable[[], Mapping[str, Any]]:
        """A function that returns `parameters` with a token, for `kwargs=` of psycopg_pool."""

        def resolved() -> dict[str, Any]:
            return {**parameters, "password": self()}

        return resolved

    def do_connect(self, _dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        """A listener for SQLAlchemy's event of this name."""
        parameters["password"] = self()

    def credentials(self) -> ReadOnlyCredentials:
        """The current credentials, renewed where they expire soon.

        Raises:
            TokenError: there are none.
            BotoCoreError: they cannot be fetched.
        """
        if self._session is None:
            self._session = boto3.Session()
        found = self._session.get_credentials()
        if found is None:
            raise TokenError(
                f"there are no AWS credentials to sign a token for {self.user!r} with; log in to AWS, or set"
                " AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return found.get_frozen_credentials()

    def _rds(self) -> RDSClient:
        if self._client is None:
            session = self._session or boto3.Session()
            # boto3 itself does not read AWS_REGION, which AWS's other tools do.
            region = self.region or session.region_name or os.environ.get("AWS_REGION")
            if not region:
                raise TokenError(
                    f"no region is known for a token for host {self.host!r}; give the database's region, or"
                    " set AWS_REGION"
                )
            self.region = region
            self._client = session.client("rds", region_name=region)
        return self._client

    def _require_endpoint(self) -> None:
        if not may_be_alias(self.host):
            return
        name = self._look_up(self.host)
        if name and (in_rds(name) or dsql_region(name)):
            raise TokenError(
                f"the host {self.host!r} is an alias of {normalised(name)!r}: RDS accepts only tokens for the"
                " endpoint's own name; give that name as the host"
            )


def _require_name_to_sign(host: str, port: int, region: str | None, *, known_endpoint: bool) -> None:
    named = region_in(host)
    if region and named and region != named:
        raise TokenError(
            f"the host {host!r} is in region {named!r}, and the region given is {region!r}: a token for"
            f" another region is refused; give the region {named!r}"
        )
    if in_rds(host) and not named and not region:
        raise TokenError(
            f"the host {host!r} says no region, as the writer endpoint of a global database does not;"
            " give the region of the cluster that is the writer now"
        )
    if dsql := dsql_region(host):
        raise TokenError(
            f"the host {host!r} is Aurora DSQL in region {dsql!r}, which takes tokens of its own service"
            " (dsql:DbConnect) and none of RDS; use `aws dsql generate-db-connect-auth-token"
            f" --hostname {normalised(host)} --region {dsql}`"
        )
    if is_near(host) and not known_endpoint:
        raise TokenError(
            f"the host {host!r} is an address and no endpoint of RDS, perhaps a tunnel's near end: a token is"
            " for the endpoint's own name and port; give those, and connect through the tunnel with libpq's"
            f" host=ENDPOINT hostaddr={'127.0.0.1' if 'localhost' in host.lower() else host} port={port},"
            " which `show --hostaddr` prints"
        )


@contextmanager
def _expected_errors(user: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise TokenError(
            f"the AWS credentials to sign a token for {user!r} with cannot be fetched: {reason(error)};"
            " log in to AWS again"
        ) from None
    except RuntimeError as error:
        # botocore raises this for temporary credentials that have expired and could not be renewed.
        raise TokenError(
            f"the AWS credentials to sign a token for {user!r} with have expired: {error}; log in to AWS"
            " again"
        ) from None
