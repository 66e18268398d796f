"""What tests do with the RDS server of a running sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pgpasswordless.connections import Database
from tests.behaviour.conftest import RunningSandbox
from tests.behaviour.iam_tokens import Credentials, assume, client, token

NAME = "rds"


@dataclass(frozen=True, kw_only=True)
class RdsServer:
    """The RDS server of a deployed sandbox, as its clients see it."""

    sandbox: RunningSandbox

    @property
    def database(self) -> Database:
        """Its entry in the connections document."""
        return self.sandbox.databases[NAME]

    @property
    def environment(self) -> dict[str, str]:
        """The operator's environment."""
        return self.sandbox.aws_environment()

    @property
    def operator(self) -> Credentials:
        """The operator's key."""
        return Credentials.from_environment(self.environment)

    def application(self, role: str) -> Credentials:
        """Credentials of the IAM role that was made for a database role."""
        return assume(self.application_role(role), self.environment)

    def application_role(self, role: str) -> str:
        """ARN of the IAM role that was made for a database role."""
        return self.sandbox.outputs["applicationRoles"][role]

    def client(self, service: str, credentials: Credentials | None = None) -> Any:
        """A client on the sandbox's AWS."""
        return client(service, self.environment, credentials)

    def token(self, role: str, credentials: Credentials | None = None, **changes: Any) -> str:
        """A token for a database role, with single parts of it changed."""
        database = self.database
        parts: dict[str, Any] = {
            "host": database.host,
            "port": database.port,
            "user": role,
            "region": database.region,
            "credentials": credentials or self.application(role),
        }
        return token(**{**parts, **changes})

    def login(self, user: str, password: str | None = None, **overrides: Any) -> psycopg.Connection[Any]:
        """Log in as libpq does, over verify-full, with a good token unless `password` says otherwise."""
        database = self.database
        parameters: dict[str, Any] = {
            "host": database.host,
            "port": database.port,
            "dbname": "app",
            "user": user,
            "password": self.token(user) if password is None else password,
            "sslmode": "verify-full",
            "sslrootcert": str(self.bundle),
            "gssencmode": "disable",
            "connect_timeout": 10,
            "autocommit": True,
            **overrides,
        }
        return psycopg.connect(**parameters)

    @property
    def bundle(self) -> Path:
        """What clients trust, as a file."""
        path = self.sandbox.folder / "rds.pem"
        path.write_text(self.database.server_ca.pem)
        return path

    def logged_reasons(self) -> list[str]:
        """Lines of the instance's iam-db-auth-error log in CloudWatch, oldest first."""
        logs = self.client("logs")
        group = f"/aws/rds/instance/{self.identifier}/iam-db-auth-error"
        found = logs.filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in sorted(found, key=lambda event: event["timestamp"])]

    @property
    def identifier(self) -> str:
        """Identifier of the instance."""
        (instance,) = self.client("rds").describe_db_instances()["DBInstances"]
        return instance["DBInstanceIdentifier"]
