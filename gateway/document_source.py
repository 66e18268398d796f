"""Where the gateway's document comes from: a file for local use, or what the stack publishes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import boto3

from documents.document import ObjectAddress
from gateway.errors import DocumentError
from gateway.objects import UNREACHABLE, objects_client
from pgpasswordless.aws import reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_BYTES = 64 * 1024 * 1024
"""A load balancer accepts revocation lists of 50 MB."""

_NOT_MODIFIED = "304: "


@final
@dataclass(frozen=True, kw_only=True)
class FoundDocument:
    """One version of the document as raw text; it holds secrets.

    Attributes:
        text: JSON.
        version: tells this version from every other one; for `DocumentSource.fetch`.
    """

    text: bytes = field(repr=False)
    version: str

    @cached_property
    def sha256(self) -> str:
        """Of the text, which is long and random enough in its secrets for this to reveal none."""
        return hashlib.sha256(self.text).hexdigest()


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
    """The document that the stack publishes, one object in S3.

    Its current version is fetched once. The object is in a bucket of the given account, or is not read.
    """

    interval_seconds = 3.0

    def __init__(
        self,
        address: ObjectAddress,
        *,
        account: str,
        region: str,
        session: Callable[[], boto3.Session] = boto3.Session,
    ) -> None:
        """Keep the address; AWS is not called yet.

        Args:
            address: where the document is.
            account: whose bucket it is.
            region: of the bucket.
            session: makes the session whose credentials are used.
        """
        self._address = address
        self._account = account
        self._region = region
        self._make_session = session
        self._lock = threading.Lock()

    def fetch(self, known: str | None) -> FoundDocument | None:
        """As `DocumentSource.fetch`."""
        where = f"s3://{self._address.bucket}/{self._address.key}"
        unless: dict[str, Any] = {} if known is None else {"IfNoneMatch": known}
        with self._lock:
            try:
                answer = self._objects.get_object(
                    Bucket=self._address.bucket,
                    Key=self._address.key,
                    ExpectedBucketOwner=self._account,
                    **unless,
                )
                if answer["ContentLength"] > MAX_BYTES:
                    raise DocumentError(
                        f"{where} has {answer['ContentLength']} bytes; {MAX_BYTES} are the most that is read"
                    )
                return FoundDocument(text=answer["Body"].read(), version=answer["ETag"])
            except UNREACHABLE as error:
                said = reason(error)
                if said.startswith(_NOT_MODIFIED):
                    return None
                raise DocumentError(f"{where} cannot be fetched: {said}") from None

    @cached_property
    def _objects(self) -> S3Client:
        return objects_client(self._make_session(), self._region)
