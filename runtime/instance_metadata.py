"""The instance metadata service, version 2 (IMDSv2)."""

from __future__ import annotations

import json

from runtime import bootstrap
from runtime.errors import FailedError


class InstanceMetadata:
    """One session with the service; the first value that is wanted begins it."""

    def __init__(self) -> None:
        """Ask nothing yet."""
        self._session: bootstrap.Metadata | None = None

    def get(self, path: str) -> str:
        """The value below `/latest/meta-data/`, for example `instance-id`.

        Raises:
            FailedError: the service does not answer or has no such value.
        """
        return self._value(f"meta-data/{path}")

    def instance_id(self) -> str:
        """The id of this instance, `i-…`.

        Raises:
            FailedError: the service does not answer.
        """
        return self.get("instance-id").strip()

    def credentials(self) -> dict[str, str]:
        """Those of the instance's role: AccessKeyId, SecretAccessKey, Token.

        Raises:
            FailedError: the service does not answer, or has none.
        """
        role = self._value(bootstrap.ROLE)
        try:
            found = json.loads(self._value(bootstrap.ROLE + role))
            return {key: found[key] for key in ("AccessKeyId", "SecretAccessKey", "Token")}
        except (KeyError, ValueError) as error:
            raise FailedError(f"the metadata service has no credentials for role {role}") from error

    def account_id(self) -> str:
        """The AWS account that this instance belongs to, from its identity document.

        Raises:
            FailedError: the service does not answer, or says something else.
        """
        text = self._value(bootstrap.IDENTITY)
        try:
            return bootstrap.account(text)
        except (ValueError, KeyError, TypeError) as error:
            raise FailedError(f"{bootstrap.IDENTITY} names no account: {text!r}") from error

    def _value(self, path: str) -> str:
        try:
            if self._session is None:
                self._session = bootstrap.Metadata()
            return self._session.get(path)
        except bootstrap.BootstrapError as error:
            raise FailedError(f"the instance metadata service: {error}") from error
