"""The sandbox's copy of a stack file: what the user wrote, with what only the sandbox knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.errors import SandboxError
from sandbox.state import CHECKOUT

PROJECT = "passwordless-postgres"
SELF_MANAGED = f"{PROJECT}:selfManaged"
DEFAULT_FILE = CHECKOUT / "stacks" / "Pulumi.sandbox.yaml"
DEFAULT_MAJOR = 17


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """A stack file as the user wrote it. `settings.py` judges its values, not this."""

    path: Path
    document: dict[str, Any]

    @property
    def major(self) -> int | None:
        """The PostgreSQL release it asks for; None when it asks for none, or for nonsense."""
        section = self._self_managed()
        major = None if section is None else section.get("major", DEFAULT_MAJOR)
        return major if isinstance(major, int) else None

    @property
    def roles(self) -> list[str]:
        """The names of the database roles, in the order of the file."""
        roles = (self._self_managed() or {}).get("roles")
        return list(roles) if isinstance(roles, dict) else []

    def _self_managed(self) -> dict[str, Any] | None:
        section = self.document["config"].get(SELF_MANAGED)
        return section if isinstance(section, dict) else None

    def completed(self, port: int, salt: str) -> str:
        """The text for the engine: the sandbox's port for PostgreSQL, and the salt of its passphrase."""
        config = dict(self.document["config"])
        if isinstance(config.get(SELF_MANAGED), dict):
            config[SELF_MANAGED] = {**config[SELF_MANAGED], "port": port}
        return yaml.safe_dump(
            {**self.document, "config": config, "encryptionsalt": salt}, sort_keys=False, allow_unicode=True
        )


def read(path: Path) -> StackFile:
    """Read a stack file.

    Raises:
        SandboxError: there is none, or it is not YAML with a section `config`.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SandboxError(f"The stack file {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise SandboxError(f"The stack file {path} is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise SandboxError(f"The stack file {path} has no section `config` with the stack's settings.")
    return StackFile(path=path, document=document)
