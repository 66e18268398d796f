"""The loopback AWS as one object: endpoint and metadata services."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import boto3
from botocore.config import Config

from emulator.core.state_layout import AWS
from emulator.ec2.metadata import MetadataService
from emulator.endpoint.credentials import REGION, AccessKey, Credentials, Identity
from emulator.endpoint.front_door import FrontDoor, Listener, Service
from emulator.endpoint.loopback_server import LoopbackServer
from emulator.endpoint.moto_backend import RoleDocuments
from emulator.endpoint.resources import Access


@cache
def _session() -> boto3.session.Session:
    # Loading a service's model takes a second for EC2; a session keeps them.
    return boto3.session.Session()


class AwsEndpoint:
    """Secrets Manager, SSM, S3, IAM, STS, CloudWatch, Logs and EC2's images, on one port of loopback.

    Args:
        state_dir: The sandbox's state folder; journal and keys lie in its `aws`, mode 0700.
        port: TCP port, 0 for any free one; see `port` after `start`.
        metadata_port: The same for the metadata services.

    Raises:
        RuntimeError: Another endpoint is running in this process (moto's state is one per process).
    """

    _clients_lock: ClassVar[threading.Lock] = threading.Lock()
    _running: ClassVar[AwsEndpoint | None] = None

    def __init__(self, state_dir: Path, port: int = 0, metadata_port: int = 0) -> None:
        self.state_dir = state_dir
        self.port = port
        self._metadata_port = metadata_port
        self._door = FrontDoor(state_dir / AWS)
        self._server: LoopbackServer | None = None
        self._metadata: MetadataService | None = None
        self._clients: dict[tuple[str, str], Any] = {}

    def start(self) -> None:
        """Brings back what the journal holds, then serves.

        Raises:
            OSError: A port is taken.
            CorruptJournal: The journal was changed from outside.
            RuntimeError: Another endpoint is running in this process.
        """
        if AwsEndpoint._running is not None:
            raise RuntimeError("another AwsEndpoint is running in this process; stop it first")
        self._door.open()
        self._server = LoopbackServer("aws-endpoint", self._door.handle, self.port)
        self._metadata = MetadataService(
            self._door.credentials, self._door.moto.role_of_profile, self._metadata_port
        )
        self.port = self._server.port
        self._server.start()
        self._metadata.start()
        AwsEndpoint._running = self

    def stop(self) -> None:
        """Ends both servers; the journal keeps everything."""
        if self._server is not None and self._metadata is not None:
            self._metadata.stop()
            self._server.stop()
            self._door.close()
            self._server = self._metadata = None
            AwsEndpoint._running = None

    def __enter__(self) -> AwsEndpoint:
        """Starts."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops."""
        self.stop()

    @property
    def url(self) -> str:
        """Value for AWS_ENDPOINT_URL."""
        return f"http://localhost:{self.port}"

    @property
    def operator(self) -> AccessKey:
        """The operator's access key."""
        return self._door.credentials.operator

    @property
    def operator_environment(self) -> dict[str, str]:
        """Environment variables with which AWS's SDKs and tools act as the operator on this endpoint."""
        return self.operator.environment_at(self.url)

    @property
    def metadata(self) -> MetadataService:
        """The metadata services, while this runs."""
        if self._metadata is None:
            raise RuntimeError("the AWS endpoint is not running; start it first")
        return self._metadata

    def on_write(self, listener: Listener) -> None:
        """Has `listener` called with the operation after each successful write. It must be quick."""
        self._door.on_write(listener)

    def serve(self, name: str, service: Service) -> None:
        """Has `service` answer authorised calls to a service that moto does not answer, such as `rds`."""
        self._door.serve(name, service)

    @property
    def credentials(self) -> Credentials:
        """Recognises the keys that were issued here."""
        return self._door.credentials

    def allows(self, identity: Identity, access: Access, region: str = REGION) -> bool:
        """Whether the IAM documents of the program allow one action on one resource."""
        return self._door.allows(identity, access, region)

    def client(self, service: str, region: str = REGION, key: AccessKey | None = None) -> Any:
        """A boto3 client on this endpoint; the operator's (kept) unless `key` says otherwise."""
        with self._clients_lock:
            if key is not None:
                return self._new_client(service, region, key)
            if (service, region) not in self._clients:
                self._clients[service, region] = self._new_client(service, region, self.operator)
            return self._clients[service, region]

    def _new_client(self, service: str, region: str, key: AccessKey) -> Any:
        return _session().client(
            service,  # pyright: ignore[reportArgumentType, reportCallIssue]
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token,
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=64, proxies={}),
        )

    def role(self, name: str) -> RoleDocuments | None:
        """What IAM knows about a role."""
        return self._door.moto.role(name)
