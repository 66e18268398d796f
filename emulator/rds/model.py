"""One RDS instance: read from the program's inputs, kept as a JSON file in its folder, run and described."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from emulator.core.model import ResourceModel
from emulator.rds.authority import DEFAULT_IDENTIFIER
from emulator.rds.parameter_state import ParameterState
from postgres.rds_parameters import FORCE_SSL

FILE = "instance.json"
DEFAULT_PORT = 5432
ADMINISTRATOR = "rdsadmin"
IAM_ROLE = "rds_iam"
IAM_ERROR_LOG = "iam-db-auth-error"
POSTGRESQL_LOG = "postgresql"

Status = Literal["creating", "available", "starting", "rebooting", "deleting", "incompatible-parameters"]


class Instance(ResourceModel):
    """One instance; holds no secret.

    Attributes:
        identifier: DBInstanceIdentifier.
        resource_id: DbiResourceId, `db-…`.
        major: Release of PostgreSQL.
        database: Initial database besides `postgres`, or None.
        iam_authentication: Whether members of rds_iam can log in.
        ca_identifier: Who signs the certificate.
        log_exports: Logs that go to CloudWatch.
        parameters: Its parameter group and what of it is in effect.
        status: DBInstanceStatus.
        prepared: Whether data directory and roles are complete.
    """

    identifier: str
    resource_id: str
    region: str
    major: int
    parameters: ParameterState
    master: str = Field(alias="username")
    port: int = DEFAULT_PORT
    database: str | None = Field(default=None, alias="dbName")
    iam_authentication: bool = Field(default=False, alias="iamDatabaseAuthenticationEnabled")
    ca_identifier: str = Field(default=DEFAULT_IDENTIFIER, alias="caCertIdentifier")
    log_exports: tuple[str, ...] = Field(default=(), alias="enabledCloudwatchLogsExports")
    status: Status = "creating"
    prepared: bool = False

    @property
    def force_ssl(self) -> bool:
        """Whether clients must use TLS; RDS's default is that they must, from release 15 on."""
        return self.parameters.applied.get(FORCE_SSL, "1") == "1"

    def log_group(self, log: str) -> str:
        """CloudWatch log group of one of its logs."""
        return f"/aws/rds/instance/{self.identifier}/{log}"
