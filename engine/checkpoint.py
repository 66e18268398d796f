"""The state of a stack in the engine's file backend: reading it, and repairing what a killed engine left."""

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

SPECIAL_VALUE = "4dabf18193072939515e22adb298388d"
"""Key of a mapping by which Pulumi marks a secret, an asset or a reference."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of one stack in the file backend in the folder `backend`."""

    backend: Path
    project: str
    stack: str

    @property
    def file(self) -> Path:
        """The file with the stack's state."""
        return self.backend / ".pulumi" / "stacks" / self.project / f"{self.stack}.json"

    @property
    def lock_folder(self) -> Path:
        """The folder in which each engine that works on the stack keeps a lock."""
        return self.backend / ".pulumi" / "locks" / "organization" / self.project / self.stack

    def latest(self) -> dict[str, Any]:
        """The stack's state; empty when there is no stack.

        Raises:
            CommandError: the file is not JSON.
        """
        try:
            document = json.loads(self.file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise CommandError(
                f"The engine's state {self.file} is damaged: {error}. "
                f"Replace it by {self.file}.bak, or start over with `make clean`."
            ) from error
        return document.get("checkpoint", {}).get("latest") or {}

    def repair(self) -> Path | None:
        """Replace a state that is only partly written by the newest complete copy that the engine keeps.

        The next run creates again what the copy lacks; the emulator recognises it by its URN. Without a
        complete copy the state is removed, and the stack starts over. No engine may work on it meanwhile.
        Returns the copy that was used, or the file that was removed; None when nothing was wrong.
        """
        if not self.file.exists() or _is_complete(self.file):
            return None
        backups = self.backend / ".pulumi" / "backups" / self.project / self.stack
        copies = [self.file.with_name(f"{self.file.name}.bak"), *sorted(backups.glob("*.json"), reverse=True)]
        for copy in copies:
            if _is_complete(copy):
                replace_file(self.file, copy.read_text())
                return copy
        self.file.unlink()
        return self.file

    def salt(self) -> str | None:
        """The salt of the stack's passphrase, which its stack file must contain."""
        return self.latest().get("secrets_providers", {}).get("state", {}).get("salt")

    def has_pending_operations(self) -> bool:
        """Whether an engine was killed while it waited for a provider."""
        return bool(self.latest().get("pending_operations"))

    def resources_of_type(self, ending: str) -> list[dict[str, Any]]:
        """The stack's resources whose type token has this ending, except those that wait for deletion."""
        return [
            resource
            for resource in self.latest().get("resources") or []
            if resource["type"].endswith(ending) and not resource.get("delete")
        ]

    def output(self, name: str) -> Any:
        """The value of a stack output; None when there is none, or when it is secret."""
        stacks = self.resources_of_type("pulumi:pulumi:Stack")
        value = stacks[0].get("outputs", {}).get(name) if stacks else None
        return None if isinstance(value, dict) and SPECIAL_VALUE in value else value

    def has_stale_lock(self) -> bool:
        """Whether an engine that has ended left a lock.

        Raises:
            CommandError: a running engine holds the lock.
        """
        locks = list(self.lock_folder.glob("*.json"))
        for lock in locks:
            # A killed engine may leave a lock without content.
            with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
                holder = int(json.loads(lock.read_text())["pid"])
                if identity_of(holder) is not None and psutil.Process(holder).name() == "pulumi":
                    raise CommandError(
                        f"The engine with process number {holder} is working on stack {self.stack}. "
                        "Wait until it has ended, or end it, then run this again."
                    )
        return bool(locks)


def _is_complete(file: Path) -> bool:
    """Whether the file contains a complete state."""
    try:
        return isinstance(json.loads(file.read_text()).get("checkpoint"), dict)
    except (OSError, ValueError, AttributeError):
        return False
