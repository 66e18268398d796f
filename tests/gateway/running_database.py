"""An RDS instance of the loopback AWS as the gateway's document describes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import boto3
from psycopg import sql

from emulator.rds.model import Instance
from gateway.caller import Caller
from pgpasswordless.connections import CertificateBundle, Database, RoleConnection
from tests.emulator.rds.conftest import REGION, Cloud, connect_arn
from tests.gateway.certificates import NOW


@dataclass(frozen=True, kw_only=True)
class RunningDatabase:
    """The instance, with its server and endpoint."""

    cloud: Cloud
    instance: Instance

    def create_roles(self, *names: str) -> None:
        with self.cloud.master(self.instance) as connection:
            for name in names:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
                connection.execute(sql.SQL("GRANT rds_iam TO {}").format(sql.Identifier(name)))

    def described(self, roles: Iterable[str], **changes: Any) -> Database:
        """Its entry in the document; `changes` are those of each role."""
        pem = self.cloud.databases.bundle.read_text()
        return Database(
            host="localhost",
            port=self.instance.port,
            database="postgres",
            server_ca=CertificateBundle(pem=pem, sha256=hashlib.sha256(pem.encode()).hexdigest()),
            minimum_protocol="TLSv1.3",
            authentication="iam",
            region=REGION,
            roles={
                role: RoleConnection(
                    database="postgres", connect_arn=connect_arn(self.instance, role), **changes
                )
                for role in roles
            },
        )

    def stop(self) -> None:
        """Stop the server and its endpoint."""
        self.cloud.databases.stop_all()

    def start(self) -> None:
        """Start them again; they accept connections a moment later."""
        self.cloud.databases = self.cloud.new_databases()
        self.cloud.databases.start()

    def session(self) -> boto3.Session:
        """The operator's credentials, which may log in as any role."""
        key = self.cloud.aws.operator
        return boto3.Session(
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token,
            region_name=REGION,
        )


def caller(role: str, serial: str = "0A") -> Caller:
    """An admitted caller with `role`."""
    return Caller(
        role=role,
        identity_kind="uri",
        identity_value=f"spiffe://example.test/{role}",
        subject="CN=client",
        serial=serial,
        not_before=NOW,
        not_after=NOW,
    )
