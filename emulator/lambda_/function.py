"""One function, as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

RUNTIME = "python3.13"


class Function(BaseModel):
    """A function's configuration.

    Attributes:
        name: Its name, which is its id.
        region: Where it is.
        arn: Its ARN.
        role_arn: The role whose credentials it gets.
        handler: Module and function.
        timeout: After so many seconds a call is ended.
        memory_size: In MiB; nothing here enforces it.
        environment: Variables of its own.
        log_group: Where its output goes.
        code_sha256: SHA-256 of its artifact, base64.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    region: str
    arn: str
    role_arn: str
    handler: str
    timeout: int
    memory_size: int
    environment: Mapping[str, str] = Field(default={}, repr=False)
    log_group: str
    code_sha256: str

    @property
    def role_name(self) -> str:
        """Name of the role, without its path."""
        return self.role_arn.rsplit("/", 1)[-1]
