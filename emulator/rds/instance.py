"""What the sandbox keeps of one RDS instance, as a JSON file in its folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from emulator.rds.parameter_state import ParameterState
from postgres.rds_parameters import FORCE_SSL, Parameter

FILE = "instance.json"
ADMINISTRATOR = "rdsadmin"
IAM_ROLE = "rds_iam"
IAM_ERROR_LOG = "iam-db-auth-error"
POSTGRESQL_LOG = "postgresql"

Status = Literal["creating", "available", "starting", "rebooting", "deleting", "incompatible-parameters"]


@dataclass(frozen=True, kw_only=True)
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
    port: int
    master: str
    database: str | None
    iam_authentication: bool
    ca_identifier: str
    log_exports: tuple[str, ...]
    parameters: ParameterState
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


def write_instance(folder: Path, instance: Instance) -> None:
    """Writes it so that the file holds the old text or the new one at any moment."""
    document = {**vars(instance), "parameters": _parameters_document(instance.parameters)}
    partial = folder / f".{FILE}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / FILE)


def read_instance(folder: Path) -> Instance:
    """Reads it.

    Raises:
        OSError: There is none.
    """
    document: dict[str, Any] = json.loads((folder / FILE).read_text())
    parameters = document.pop("parameters")
    wanted = tuple(Parameter(**item) for item in parameters.pop("wanted"))
    return Instance(
        **{**document, "log_exports": tuple(document["log_exports"])},
        parameters=ParameterState(**parameters, wanted=wanted),
    )


def _parameters_document(state: ParameterState) -> dict[str, Any]:
    return {
        **vars(state),
        "applied": dict(state.applied),
        "wanted": [vars(parameter) for parameter in state.wanted],
    }
