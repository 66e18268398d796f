"""The file backend of the engine, as far as a killed engine leaves something in it to mend."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine.errors import CommandError
from engine.processes import identity_of
from runtime.files import replace_file


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
            CommandError: the file is not what the engine writes.
        """
        try:
            document = json.loads(self.file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise CommandError(
                f"The engine's state {self.file} is damaged: {error}. "
                f"Put {self.file}.bak in its place, or begin anew with `make clean`."
            ) from error
        return document.get("checkpoint", {}).get("latest") or {}

    def mend(self) -> Path | None:
        """Replace a state that a kill left half written by the newest whole copy that the engine keeps.

        What the copy lacks is made again by the next run, where the stand-ins know it by its URN. Without any
        whole copy the state is removed, and the stack begins anew. Returns the copy, or the removed
        file; None when the state is whole or there is none. No engine may be at work on the stack.
        """
        if not self.file.exists() or _is_whole(self.file):
            return None
        backups = self.backend / ".pulumi" / "backups" / self.project / self.stack
        copies = [self.file.with_name(f"{self.file.name}.bak"), *sorted(backups.glob("*.json"), reverse=True)]
        for copy in copies:
            if _is_whole(copy):
                replace_file(self.file, copy.read_text())
                return copy
        self.file.unlink()
        return self.file

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
            CommandError: an engine that is running holds the stack.
        """
        locks = list(self.lock_folder.glob("*.json"))
        for lock in locks:
            # A kill can come before the lock has its content.
            with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
                holder = int(json.loads(lock.read_text())["pid"])
                if identity_of(holder) is not None and psutil.Process(holder).name() == "pulumi":
                    raise CommandError(
                        f"The engine with process number {holder} is at work on stack {self.stack}. "
                        "Wait until it has ended, or end it, then run this again."
                    )
        return bool(locks)


def _is_whole(file: Path) -> bool:
    """Whether the file is a state from its first to its last byte."""
    try:
        return isinstance(json.loads(file.read_text()).get("checkpoint"), dict)
    except (OSError, ValueError, AttributeError):
        return False
