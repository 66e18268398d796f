"""Where the gateway's document comes from: a file for local use, or what the stack publishes."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from documents.document import ObjectPointer
from gateway.errors import DocumentError
from pgpasswordless.aws import LOOPBACK, account_of, reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

MAX_BYTES = 64 * 1024 * 1024
"""A load balancer accepts revocation lists of 50 MB."""

# botocore raises RuntimeError for temporary credentials that have expired and were not replaced.
_UNREACHABLE = (BotoCoreError, ClientError, RuntimeError)


@final
@dataclass(frozen=True, kw_only=True)
class FoundDocument:
    """One version of the document as raw text; it holds secrets.

    Attributes:
        text: JSON.
        version: tells this version from every other one; for the log.
    """

    text: bytes = field(repr=False)
    version: str


class DocumentSource(Protocol):
    """Is polled for the document."""

    interval_seconds: float
    """Time between two polls."""

    def fetch(self, known: str | None) -> FoundDocument | None:
        """The current document; None if it still is the version `known`. May block.

        Raises:
            DocumentError: it cannot be fetched.
        """
        ...


class DocumentFile:
    """A file that is read again when its content changes."""

    interval_seconds = 1.0

    def __init__(self, path: Path) -> None:
        """Keep the path; nothing is read yet."""
        self._path = path

    def fetch(self, known: str | None) -> FoundDocument | None:
        """As `DocumentSource.fetch`."""
        try:
            text = self._path.read_bytes()
        except OSError as error:
            raise DocumentError(f"{self._path} cannot be read: {error.strerror}") from None
        version = hashlib.sha256(text).hexdigest()
        return None if version == known else FoundDocument(text=text, version=version)


class PublishedDocument:
    """The document that the stack publishes: an SSM parameter names one version of an S3 object.

    The object is fetched only when the parameter names another version.
    """

    interval_seconds = 10.0

    def __init__(
        self, *, parameter: str, region: str, session: Callable[[], boto3.Session] = boto3.Session
    ) -> None:
        """Keep the parameter's name; AWS is not called yet.

        Args:
            parameter: name of the SSM parameter.
            region: of the parameter and of the bucket.
            session: makes the session whose credentials are used.
        """
        self._parameter = parameter
        self._region = region
        self._make_session = session
        self._lock = threading.Lock()

    def fetch(self, known: str | None) -> FoundDocument | None:
        """As `DocumentSource.fetch`."""
        with self._lock:
            pointer, owner = self._pointer()
            version = f"{pointer.version} (SHA-256 {pointer.sha256})"
            if version == known:
                return None
            text = self._object(pointer, owner)
        found = hashlib.sha256(text).hexdigest()
        if found != pointer.sha256:
            raise DocumentError(
                f"{_where(pointer)} has the SHA-256 {found}, and the parameter {self._parameter!r} says"
                f" {pointer.sha256}: it is not what the stack published; deploy the stack again"
            )
        return FoundDocument(text=text, version=version)

    def _pointer(self) -> tuple[ObjectPointer, str]:
        """The pointer, and the account of its parameter, which is the bucket's as well."""
        try:
            parameter = self._parameters.get_parameter(Name=self._parameter)["Parameter"]
        except _UNREACHABLE as error:
            raise DocumentError(
                f"the parameter {self._parameter!r} in {self._region} cannot be read: {_reason(error)}"
            ) from None
        try:
            pointer = ObjectPointer.model_validate_json(parameter.get("Value", ""))
        except ValidationError:
            raise DocumentError(
                f"the parameter {self._parameter!r} in {self._region} is not a pointer: it needs bucket, key,"
                " version and sha256 as JSON; deploy the stack again"
            ) from None
        return pointer, account_of(parameter)

    def _object(self, pointer: ObjectPointer, owner: str) -> bytes:
        where = _where(pointer)
        try:
            answer = self._objects.get_object(
                Bucket=pointer.bucket,
                Key=pointer.key,
                VersionId=pointer.version,
                ExpectedBucketOwner=owner,
            )
            if answer["ContentLength"] > MAX_BYTES:
                raise DocumentError(
                    f"{where} has {answer['ContentLength']} bytes; {MAX_BYTES} are the most that is read"
                )
            return answer["Body"].read()
        except _UNREACHABLE as error:
            raise DocumentError(f"{where} cannot be fetched: {_reason(error)}") from None

    @cached_property
    def _session(self) -> boto3.Session:
        return self._make_session()

    @cached_property
    def _parameters(self) -> SSMClient:
        return self._client("ssm")

    @cached_property
    def _objects(self) -> S3Client:
        return self._client("s3")

    def _client(self, service: Any) -> Any:
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        # A proxy cannot reach a loopback address of this machine.
        loopback = urlsplit(endpoint).hostname in LOOPBACK
        more: dict[str, Any] = {"proxies": {}, "s3": {"addressing_style": "path"}} if loopback else {}
        config = Config(
            connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3}, **more
        )
        return self._session.client(service, region_name=self._region, config=config)


def _reason(error: Exception) -> str:
    return reason(error) if isinstance(error, BotoCoreError | ClientError) else str(error)


def _where(pointer: ObjectPointer) -> str:
    return f"version {pointer.version} of s3://{pointer.bucket}/{pointer.key}"
