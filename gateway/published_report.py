"""Where an instance reports: an object in S3, which no other instance and nobody else may write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import boto3

from documents.document import ObjectAddress
from gateway.errors import ReportError
from gateway.objects import UNREACHABLE, objects_client
from gateway.report import Report
from pgpasswordless.aws import reason
from runtime.errors import FailedError
from runtime.instance_metadata import InstanceMetadata

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class PublishedReport:
    """The report of this instance; methods may be called from any thread."""

    def __init__(
        self,
        place: ObjectAddress,
        *,
        account: str,
        region: str,
        session: Callable[[], boto3.Session] = boto3.Session,
    ) -> None:
        """Keep the place; AWS is not called yet.

        Args:
            place: bucket, and prefix of the reports' keys.
            account: whose bucket it is.
            region: of the bucket.
            session: makes the session whose credentials are used.
        """
        self._place = place
        self._account = account
        self._region = region
        self._make_session = session
        self._lock = threading.Lock()

    def write(self, report: Report) -> None:
        """Replace the report.

        Raises:
            ReportError: it cannot be written.
        """
        with self._lock:
            try:
                self._objects.put_object(
                    Bucket=self._place.bucket,
                    Key=f"{self._place.key}{self._instance}",
                    Body=report.to_json().encode(),
                    ContentType="application/json",
                    ExpectedBucketOwner=self._account,
                )
            except FailedError as error:
                raise ReportError(f"the report cannot be written: {error}") from None
            except UNREACHABLE as error:
                raise ReportError(
                    f"the report cannot be written to s3://{self._place.bucket}: {reason(error)}"
                ) from None

    @cached_property
    def _instance(self) -> str:
        return InstanceMetadata().instance_id()

    @cached_property
    def _objects(self) -> S3Client:
        return objects_client(self._make_session(), self._region)
