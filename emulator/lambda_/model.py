"""A Lambda function's model."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from emulator.core.model import ResourceModel

RUNTIME = "python3.13"


class Environment(ResourceModel):
    """Environment variables of a function."""

    variables: Mapping[str, str] = Field(default={}, repr=False)


class LoggingConfig(ResourceModel):
    """Where a function's output goes."""

    log_group: str


class Function(ResourceModel):
    """A function.

    Attributes:
        role: ARN of the role whose credentials it gets.
        handler: Module and function.
        memory_size: In MiB; nothing here enforces it.
        code_sha256: SHA-256 of its artifact, base64.
    """

    name: str
    region: str
    arn: str
    role: str
    handler: str
    timeout: int = Field(default=3, ge=1, le=900)
    memory_size: int = Field(default=128, ge=128, le=10240)
    environment: Environment = Environment()
    logging_config: LoggingConfig
    code_sha256: str

    @property
    def role_name(self) -> str:
        """Name of the role, without its path."""
        return self.role.rsplit("/", 1)[-1]
