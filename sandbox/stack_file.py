"""The sandbox's copy of a stack file: what the user wrote, with what only the sandbox knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.project import CHECKOUT, PROJECT
from engine.stack_file import read_document

SELF_MANAGED = f"{PROJECT}:selfManaged"
RDS = f"{PROJECT}:rds"
GATEWAY = f"{PROJECT}:gateway"
SELF_MANAGED_PORT = "postgresql"
RDS_PORT = "rds"
GATEWAY_PORT = "gateway"
DEFAULT_FILE = CHECKOUT / "stacks" / "Pulumi.sandbox.yaml"
DEFAULT_MAJOR = 17


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """A stack file as the user wrote it. `settings.py` judges its values, not this."""

    path: Path
    document: dict[str, Any]

    @property
    def majors(self) -> list[int]:
        """The PostgreSQL releases it asks for, the self-managed server's first; nonsense is left out."""
        majors = [section.get("major", DEFAULT_MAJOR) for section in self._sections()]
        return list(dict.fromkeys(major for major in majors if type(major) is int))

    @property
    def roles(self) -> list[str]:
        """The names of the database roles, in the order of the file."""
        groups = [roles for section in self._sections() if isinstance(roles := section.get("roles"), dict)]
        return list(dict.fromkeys(name for roles in groups for name in roles))

    def _sections(self) -> list[dict[str, Any]]:
        sections = (self.document["config"].get(name) for name in (SELF_MANAGED, RDS))
        return [section for section in sections if isinstance(section, dict)]

    def completed(self, ports: Mapping[str, int], ca_bundle: Path, public_ca_bundle: Path, salt: str) -> str:
        """The text for the engine: what only the sandbox knows, and the salt of its passphrase.

        Args:
            ports: Where its servers listen: `postgresql` the self-managed one, `rds` RDS, `gateway` the
                gateway's load balancer.
            ca_bundle: The authorities of its RDS.
            public_ca_bundle: The authority of its Certificate Manager.
            salt: Of the passphrase.
        """
        config = dict(self.document["config"])
        own = {
            SELF_MANAGED: {"port": ports.get(SELF_MANAGED_PORT)},
            RDS: {"port": ports.get(RDS_PORT), "caBundle": str(ca_bundle)},
            GATEWAY: {
                "port": ports.get(GATEWAY_PORT),
                "caBundle": str(public_ca_bundle),
            },
        }
        for name, values in own.items():
            if isinstance(config.get(name), dict):
                config[name] = {**config[name], **values}
        return yaml.safe_dump(
            {**self.document, "config": config, "encryptionsalt": salt}, sort_keys=False, allow_unicode=True
        )


def read(path: Path) -> StackFile:
    """Read a stack file.

    Raises:
        CommandError: there is none, or it is not YAML with a section `config`.
    """
    return StackFile(path=path, document=read_document(path))
