"""A machine's desired state: files and manifest, in the places where the machine reads them.

The newest version of the manifest is the desired state, and the serial inside it is the order. Nothing points
to it: the machine's launcher and node read it by its key, and may read no other version of it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, final

import pulumi
from pulumi_aws import s3

from artifacts.node import NodeArtifact
from components.private_bucket import PrivateBucket, PrivateBucketArgs, object_tags
from components.serial import Serial
from node.desired_state import (
    FORMATTED_VOLUMES_KEY,
    Hold,
    Manifest,
    ObjectVersion,
    RestartPolicy,
    SecretVersion,
)
from node.state import MANIFEST_KEY
from settings import SelfManaged

FILES = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "roles.json", "client-ca.crt")
NODE_KEY = "node/node.zip"
REPORT_KEY = "report.json"


def file_key(name: str) -> str:
    """Key of one file's object."""
    return f"files/{name}"


READABLE_KEYS = (NODE_KEY, *(file_key(name) for name in FILES))
"""Keys of which a machine reads the versions that the manifest names."""

Principal = TypeVar("Principal", str, pulumi.Input[str])


def writers(machine_role: Principal, administrators: Sequence[Principal]) -> dict[str, list[Principal]]:
    """Who may write which path of the bucket."""
    return {
        "files/*": [*administrators],
        "node/*": [*administrators],
        MANIFEST_KEY: [*administrators],
        REPORT_KEY: [machine_role],
        FORMATTED_VOLUMES_KEY: [machine_role, *administrators],
    }


@dataclass(frozen=True, kw_only=True)
class DesiredStateArgs:
    """Arguments of `DesiredState`.

    Attributes:
        server: Name of the server.
        settings: Releases of PostgreSQL, and whether the machine restarts the server for settings that
            need it.
        files: Text per name in `FILES`. One that holds no other resource's value is readable by
            policies in a preview.
        node: The program that the machine runs.
        identity_arn: ARN of the server's identity secret.
        identity_version: Id of its version.
        identity_sha256: SHA-256 of that version.
        client_certificates_not_after: When the first of the roles' certificates ends, RFC 3339; None where
            there are none.
        writers: ARNs of the roles and users that may write the desired state.
        machine_role: ARN of the machine's role, which alone may write the report, and beside `writers`
            the record of formatted volumes.
        tags: Tags of every child.

    Raises:
        ValueError: Files are missing, or there are more.
    """

    server: str
    settings: SelfManaged
    files: Mapping[str, pulumi.Input[str]]
    node: NodeArtifact
    identity_arn: pulumi.Input[str]
    identity_version: pulumi.Input[str]
    identity_sha256: pulumi.Input[str]
    client_certificates_not_after: pulumi.Input[str | None] = None
    writers: Sequence[str]
    machine_role: pulumi.Input[str]
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        if set(self.files) != set(FILES):
            raise ValueError(f"files: {sorted(self.files)}; must be exactly {sorted(FILES)}")


@final
@dataclass(frozen=True, kw_only=True)
class DesiredStateResources:
    """Children of `DesiredState`; `files` by name."""

    bucket: PrivateBucket
    files: dict[str, s3.BucketObjectv2]
    node: s3.BucketObjectv2
    serial: Serial
    manifest: s3.BucketObjectv2


class DesiredState(pulumi.ComponentResource):
    """`passwordless-postgres:index:DesiredState`: one server's desired state in S3.

    Makes a `PrivateBucket`, an object per file, one with the node, and the manifest that names versions and
    SHA-256 of them all and has a `Serial`.

    Attributes:
        bucket_id: Name of the bucket.
        bucket_arn: Its ARN.
        serial: Serial of the desired state.
        manifest_sha256: SHA-256 of the manifest.
        resources: The children.
    """

    bucket_id: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    serial: pulumi.Output[int]
    manifest_sha256: pulumi.Output[str]
    resources: DesiredStateResources

    def __init__(self, name: str, args: DesiredStateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Put the desired state."""
        super().__init__("passwordless-postgres:index:DesiredState", name, {}, opts)
        bucket = PrivateBucket(
            name,
            PrivateBucketArgs(writers=writers(args.machine_role, args.writers), tags=args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )
        files = {
            file: s3.BucketObjectv2(
                f"{name}-{file}",
                bucket=bucket.id,
                key=file_key(file),
                content=args.files[file],
                content_type="application/json" if file.endswith(".json") else "text/plain; charset=utf-8",
                tags=object_tags(args.tags),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket]),
            )
            for file in FILES
        }
        node = s3.BucketObjectv2(
            f"{name}-node",
            bucket=bucket.id,
            key=NODE_KEY,
            content_base64=base64.b64encode(args.node.content).decode(),
            content_type="application/zip",
            tags=object_tags(args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket], hide_diffs=["contentBase64"]),
        )
        content = pulumi.Output.all(
            server=args.server,
            major=args.settings.major,
            minor_floor=args.settings.minor_floor,
            node=_object_version(node, args.node.sha256),
            files={file: _object_version(files[file], _sha256(args.files[file])) for file in FILES},
            server_identity={
                "arn": args.identity_arn,
                "version": args.identity_version,
                "sha256": args.identity_sha256,
            },
            restart=args.settings.restart,
            hold=args.settings.reconcile.hold and args.settings.reconcile.hold.model_dump(),
            client_certificates_not_after=args.client_certificates_not_after,
        )
        # Whatever of the manifest changes, its serial apart, asks for a new serial.
        unnumbered = content.apply(lambda values: manifest_json(**values, serial=1))
        serial = Serial(f"{name}-serial", _sha256(unnumbered), pulumi.ResourceOptions(parent=self))
        manifest_text = pulumi.Output.all(content=content, serial=serial.serial).apply(
            lambda values: manifest_json(**values["content"], serial=values["serial"])
        )
        manifest = s3.BucketObjectv2(
            f"{name}-manifest",
            bucket=bucket.id,
            key=MANIFEST_KEY,
            content=manifest_text,
            content_type="application/json",
            tags=object_tags(args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket]),
        )
        self.manifest_sha256 = _sha256(manifest_text)
        self.resources = DesiredStateResources(
            bucket=bucket,
            files=files,
            node=node,
            serial=serial,
            manifest=manifest,
        )
        self.bucket_id = bucket.id
        self.bucket_arn = bucket.arn
        self.serial = serial.serial
        self.register_outputs(
            {"bucketId": self.bucket_id, "serial": self.serial, "manifestSha256": self.manifest_sha256}
        )


def _object_version(item: s3.BucketObjectv2, sha256: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    return {"key": item.key, "version": item.version_id, "sha256": sha256}


def _sha256(text: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(text).apply(lambda value: hashlib.sha256(value.encode()).hexdigest())


def manifest_json(
    *,
    serial: int,
    server: str,
    major: int,
    minor_floor: int,
    node: Mapping[str, str],
    files: Mapping[str, Mapping[str, str]],
    server_identity: Mapping[str, str],
    restart: RestartPolicy,
    hold: Mapping[str, str] | None = None,
    client_certificates_not_after: str | None = None,
) -> str:
    """The manifest as the machine reads it."""
    return Manifest(
        serial=serial,
        server=server,
        major=major,
        minor_floor=minor_floor,
        node=ObjectVersion(**node),
        files={name: ObjectVersion(**version) for name, version in files.items()},
        server_identity=SecretVersion(**server_identity),
        restart=restart,
        hold=Hold(**hold) if hold else None,
        client_certificates_not_after=(
            datetime.fromisoformat(client_certificates_not_after) if client_certificates_not_after else None
        ),
    ).to_json()
