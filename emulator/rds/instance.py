"""One RDS instance: read from the program's inputs, kept as a JSON file in its folder, run and described."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from emulator.core.resource_type import Properties
from emulator.rds.authority import DEFAULT_IDENTIFIER
from emulator.rds.parameter_state import ParameterState
from postgres.rds_parameters import FORCE_SSL
from runtime.files import replace_file

FILE = "instance.json"
DEFAULT_PORT = 5432
ADMINISTRATOR = "rdsadmin"
IAM_ROLE = "rds_iam"
IAM_ERROR_LOG = "iam-db-auth-error"
POSTGRESQL_LOG = "postgresql"

Status = Literal["creating", "available", "starting", "rebooting", "deleting", "incompatible-parameters"]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(populate_by_name=True, extra="ignore"))
class Instance:
    """One instance; holds no secret.

    Attributes:
        identifier: DBInstanceIdentifier.
        resource_id: DbiResourceId, `db-…`.
        region: Where it is.
        major: Release of PostgreSQL.
        port: TCP port of the endpoint.
        master: Name of the master user.
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
    master: str = Field(validation_alias="username")
    port: int = DEFAULT_PORT
    database: str | None = Field(default=None, validation_alias="dbName")
    iam_authentication: bool = Field(default=False, validation_alias="iamDatabaseAuthenticationEnabled")
    ca_identifier: str = Field(default=DEFAULT_IDENTIFIER, validation_alias="caCertIdentifier")
    log_exports: tuple[str, ...] = Field(default=(), validation_alias="enabledCloudwatchLogsExports")
    status: Status = "creating"
    prepared: bool = False

    @property
    def force_ssl(self) -> bool:
        """Whether clients must use TLS; RDS's default is that they must, from release 15 on."""
        return self.parameters.applied.get(FORCE_SSL, "1") == "1"

    def log_group(self, log: str) -> str:
        """CloudWatch log group of one of its logs."""
        return f"/aws/rds/instance/{self.identifier}/{log}"

    def with_status(self, status: Status) -> Instance:
        """The same in another status."""
        return replace(self, status=status)


_INSTANCE = TypeAdapter(Instance)


def instance_of_inputs(
    inputs: Properties, resource_id: str, region: str, major: int, parameters: ParameterState
) -> Instance:
    """The instance that a program declares, with what is not among its inputs."""
    given = {name: value for name, value in inputs.items() if value is not None}
    return _INSTANCE.validate_python(
        {**given, "resource_id": resource_id, "region": region, "major": major, "parameters": parameters}
    )


def write_instance(folder: Path, instance: Instance) -> None:
    """Writes it so that the file holds the old text or the new one at any moment."""
    replace_file(folder / FILE, _INSTANCE.dump_json(instance, indent=2))


def read_instance(folder: Path) -> Instance:
    """Reads it.

    Raises:
        OSError: There is none.
    """
    return _INSTANCE.validate_json((folder / FILE).read_bytes())
