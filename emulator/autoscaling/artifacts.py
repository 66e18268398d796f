"""The shipped artifacts, fetched as an instance would fetch them, and unpacked once per content."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import InstanceMetadataFetcher

from documents.document import ObjectPointer
from emulator.core.archives import unpack
from emulator.core.child_processes import make_enterable

_ANSWER_SECONDS = 10
_ATTEMPTS = 2


class ArtifactError(Exception):
    """An artifact cannot be had; the text says which and why."""


class Artifacts:
    """The artifacts of a sandbox, a folder `<SHA-256>` each.

    Args:
        folder: Where they lie; everybody may read them, nobody else may write.
    """

    def __init__(self, folder: Path, endpoint_url: str) -> None:
        self._folder = folder
        self._endpoint_url = endpoint_url
        self._lock = threading.Lock()

    def ensure(self, artifact: ObjectPointer, region: str, metadata: str) -> Path:
        """The folder with an artifact's content.

        It is fetched with the credentials of the instance's role even when it is there already: a role that
        may not read it must not start from what another one has fetched.

        Args:
            artifact: Which object, and what it must be.
            region: Where its bucket is.
            metadata: Base address of the instance's metadata service.

        Raises:
            ArtifactError: The role may not read it, it is not there, or it is another one.
        """
        where = f"s3://{artifact.bucket}/{artifact.key}, version {artifact.version}"
        try:
            content = self._fetched(artifact, region, metadata)
        except (BotoCoreError, ClientError) as error:
            raise ArtifactError(f"{where}: {error}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != artifact.sha256:
            raise ArtifactError(
                f"{where}: its SHA-256 is {found}, and machine.json demands {artifact.sha256};"
                " nothing of it runs"
            )
        target = self._folder / artifact.sha256
        with self._lock:
            if not target.exists():
                make_enterable(self._folder)
                try:
                    unpack(content, target)
                except BadZipFile:
                    raise ArtifactError(f"{where}: this is not a zip file") from None
        return target

    def keep_only(self, wanted: Collection[str]) -> None:
        """Removes what no instance runs any more.

        Args:
            wanted: SHA-256 of what stays.
        """
        with self._lock:
            for folder in self._folder.glob("*"):
                if folder.name not in wanted:
                    shutil.rmtree(folder)

    def _fetched(self, artifact: ObjectPointer, region: str, metadata: str) -> bytes:
        fetcher = InstanceMetadataFetcher(
            timeout=_ANSWER_SECONDS,
            num_attempts=_ATTEMPTS,
            config={"ec2_metadata_service_endpoint": metadata, "ec2_metadata_v1_disabled": True},
        )
        key = fetcher.retrieve_iam_role_credentials()
        if not key:
            raise ArtifactError(
                "the instance has no credentials: its profile has no role, or the role does not trust"
                " ec2.amazonaws.com"
            )
        client: Any = boto3.client(
            "s3",
            region_name=region,
            endpoint_url=self._endpoint_url,
            aws_access_key_id=key["access_key"],
            aws_secret_access_key=key["secret_key"],
            aws_session_token=key["token"],
            config=Config(retries={"total_max_attempts": _ATTEMPTS}, proxies={}),
        )
        answer = client.get_object(Bucket=artifact.bucket, Key=artifact.key, VersionId=artifact.version)
        return answer["Body"].read()
