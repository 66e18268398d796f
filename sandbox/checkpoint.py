"""The file backend of the engine, as far as a killed engine leaves something in it to mend."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sandbox.errors import SandboxError
from sandbox.processes import identity_of


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What the file backend in `backend` holds of one stack."""

    backend: Path
    project: str
    stack: str

    @property
    def file(self) -> Path:
        """The stack's state."""
        return self.backend / ".pulumi" / "stacks" / self.project / f"{self.stack}.json"

    @property
    def lock_folder(self) -> Path:
        """Where each engine at work on the stack keeps a lock."""
        return self.backend / ".pulumi" / "locks" / "organization" / self.project / self.stack

    def latest(self) -> dict[str, Any]:
        """The stack's state; empty when there is no stack.

        Raises:
            SandboxError: the file is not what the engine writes.
        """
        try:
            document = json.loads(self.file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise SandboxError(
                f"The engine's state {self.file} is damaged: {error}. "
                f"Put {self.file}.bak in its place, or begin anew with `make clean`."
            ) from error
        return document.get("checkpoint", {}).get("latest") or {}

    def exists(self) -> bool:
        """Whether the stack has been made."""
        return self.file.exists()

    def salt(self) -> str | None:
        """The salt of the stack's passphrase, which its stack file must carry."""
        return self.latest().get("secrets_providers", {}).get("state", {}).get("salt")

    def has_pending_operations(self) -> bool:
        """Whether an engine was killed while it waited for a provider."""
        return bool(self.latest().get("pending_operations"))

    def resources_of_type(self, ending: str) -> list[dict[str, Any]]:
        """The stack's resources whose type token ends like this, those to be deleted excepted."""
        return [
            resource
            for resource in self.latest().get("resources") or []
            if resource["type"].endswith(ending) and not resource.get("delete")
        ]

    def has_stale_lock(self) -> bool:
        """Whether a lock was left by an engine that is gone.

        Raises:
            SandboxError: an engine that is running holds the stack.
        """
        locks = list(self.lock_folder.glob("*.json"))
        for lock in locks:
            # A kill can come before the lock has its content.
            with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
                holder = int(json.loads(lock.read_text())["pid"])
                if identity_of(holder) is not None and psutil.Process(holder).name() == "pulumi":
                    raise SandboxError(
                        f"The engine with process number {holder} is at work on stack {self.stack}. "
                        "Wait until it has ended, or end it, then run this again."
                    )
        return bool(locks)
