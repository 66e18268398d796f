"""Fetches exact versions of objects and secrets, and checks them against the manifest's digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from node.desired_state import ObjectVersion, SecretVersion
from runtime.errors import FailedError, RefusedError
from runtime.instance_metadata import InstanceMetadata

_LIMITS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})
# What S3 answers to a conditional write, at once and while another one is under way.
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict")


@dataclass(frozen=True, kw_only=True)
class Store:
    """The desired-state bucket and Secrets Manager of one region.

    Attributes:
        bucket: the bucket's name.
        owner: account that the bucket must belong to; names of deleted buckets are anybody's.
        s3: client of S3.
        secrets: client of Secrets Manager.
    """

    bucket: str
    owner: str
    s3: Any
    secrets: Any

    @classmethod
    def of(cls, bucket: str, region: str) -> Store:
        """The store in this machine's account, with the credentials of its role.

        Raises:
            FailedError: the metadata service does not tell the account.
        """
        session = boto3.Session(region_name=region)
        return cls(
            bucket=bucket,
            owner=InstanceMetadata().account_id(),
            s3=session.client("s3", config=_LIMITS),
            secrets=session.client("secretsmanager", config=_LIMITS),
        )

    def object(self, wanted: ObjectVersion) -> bytes:
        """The content of an object's version.

        Raises:
            RefusedError: its digest is not the one in the manifest.
            FailedError: it cannot be fetched.
        """
        with self._failures(wanted.key):
            answer = self.s3.get_object(
                Bucket=self.bucket,
                Key=wanted.key,
                VersionId=wanted.version,
                ExpectedBucketOwner=self.owner,
            )
            data: bytes = answer["Body"].read()
        _check(f"s3://{self.bucket}/{wanted.key} version {wanted.version}", data, wanted.sha256)
        return data

    def secret(self, wanted: SecretVersion) -> str:
        """The text of a secret's version.

        Raises:
            RefusedError: its digest is not the one in the manifest.
            FailedError: it cannot be fetched.
        """
        try:
            answer = self.secrets.get_secret_value(SecretId=wanted.arn, VersionId=wanted.version)
        except (BotoCoreError, ClientError) as error:
            raise FailedError(f"secret {wanted.arn}: {error}") from error
        text: str = answer.get("SecretString", "")
        _check(f"secret {wanted.arn} version {wanted.version}", text.encode(), wanted.sha256)
        return text

    def newest(self, key: str) -> tuple[bytes, str]:
        """An object's newest version, and the entity tag by which S3 knows it.

        Raises:
            FailedError: it cannot be fetched.
        """
        with self._failures(key):
            answer = self.s3.get_object(Bucket=self.bucket, Key=key, ExpectedBucketOwner=self.owner)
            return answer["Body"].read(), answer["ETag"]

    def put_if_unchanged(self, key: str, text: str, known: str | None) -> bool:
        """Write a JSON object, if its entity tag still is `known`; None: if there is no such object.

        Returns:
            Whether it was written.

        Raises:
            FailedError: S3 refuses for another reason, or cannot be reached.
        """
        condition = {"IfNoneMatch": "*"} if known is None else {"IfMatch": known}
        with self._failures(key):
            try:
                self._put(key, text, **condition)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _CHANGED:
                    return False
                raise
        return True

    def put(self, key: str, text: str) -> None:
        """Write a JSON object.

        Raises:
            FailedError: it cannot be written.
        """
        with self._failures(key):
            self._put(key, text)

    def _put(self, key: str, text: str, **condition: str) -> None:
        self.s3.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=text.encode(),
            ContentType="application/json",
            ExpectedBucketOwner=self.owner,
            **condition,
        )

    @contextmanager
    def _failures(self, key: str) -> Iterator[None]:
        """Name the object in what S3 answers."""
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise FailedError(f"s3://{self.bucket}/{key}: {error}") from error


def _check(what: str, data: bytes, sha256: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise RefusedError(
            f"{what} has SHA-256 {found}, but the manifest names {sha256}: somebody changed it"
        )
