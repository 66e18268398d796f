"""The sandbox's copy of a stack file, completed by ports and authorities of the emulator."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.project import CHECKOUT, PROJECT, read_stack_file
from postgres.tls_groups import GROUPS_SINCE, default_groups
from postgres.versions import DEFAULT_MAJOR

SELF_MANAGED = f"{PROJECT}:selfManaged"
RDS = f"{PROJECT}:rds"
GATEWAY = f"{PROJECT}:gateway"
SELF_MANAGED_PORT = "postgresql"
RDS_PORT = "rds"
GATEWAY_PORT = "gateway"
DEFAULT_FILE = CHECKOUT / "stacks" / "Pulumi.sandbox.yaml"


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """A stack file as the user wrote it. `settings` validates its values."""

    path: Path
    document: dict[str, Any]

    @property
    def majors(self) -> list[int]:
        """The PostgreSQL releases that it asks for, the self-managed server's first. Skips invalid values."""
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
        """The stack file for the engine.

        Args:
            ports: Ports of the self-managed server (`postgresql`), of RDS (`rds`) and of the gateway's load
                balancer (`gateway`).
            ca_bundle: The authorities of the emulated RDS.
            public_ca_bundle: The authority of the emulated Certificate Manager.
            salt: The salt of the stack's passphrase.
        """
        config = dict(self.document["config"])
        completed = {
            SELF_MANAGED: {"port": ports.get(SELF_MANAGED_PORT)},
            RDS: {"port": ports.get(RDS_PORT), "caBundle": str(ca_bundle)},
            GATEWAY: {"port": ports.get(GATEWAY_PORT), "caBundle": str(public_ca_bundle)},
        }
        for name, values in completed.items():
            if isinstance(config.get(name), dict):
                config[name] = {**config[name], **values}
        server = config.get(SELF_MANAGED)
        # The default is for Debian 13; the sandbox's server has the OpenSSL of this machine.
        if isinstance(server, dict) and server.get("major") == GROUPS_SINCE and "tlsGroups" not in server:
            config[SELF_MANAGED] = {**server, "tlsGroups": list(default_groups(ssl.OPENSSL_VERSION_INFO))}
        return yaml.safe_dump(
            {**self.document, "config": config, "encryptionsalt": salt}, sort_keys=False, allow_unicode=True
        )


def read(path: Path) -> StackFile:
    """Read a stack file.

    Raises:
        CommandError: there is no such file, or it is not YAML with a section `config`.
    """
    return StackFile(path=path, document=read_stack_file(path))
