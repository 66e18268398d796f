"""Where an instance lives on this machine: its file system, its log, and what its programs run with."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from emulator.core.child_processes import inherited_environment, open_log
from emulator.ec2.cloud_init import lay_down, written_files
from engine.processes import MACHINE_ROOT


class MachineFolder:
    """The folder of one instance.

    Args:
        log: Name of the log in it.

    Attributes:
        root: The file system, as far as user-data and what it installs write to it.
        log: What the instance's programs print, and what the sandbox says of it.
    """

    def __init__(self, path: Path, log: str) -> None:
        self.path = path
        self.root = path / "root"
        self.log = path / log

    def boot(self, user_data: bytes) -> None:
        """Lays down what user-data writes, at the first boot only.

        Raises:
            UserDataError: User-data cannot be read.
        """
        booted = self.path / "booted"
        if not booted.exists():
            self.root.mkdir(mode=0o755, exist_ok=True)
            lay_down(written_files(user_data), self.root)
            booted.touch()
        self.root.chmod(0o755)

    def environment(self, endpoint_url: str, metadata: str, region: str) -> dict[str, str]:
        """Environment variables of its programs; `metadata` is the base address of its metadata service."""
        return {
            **inherited_environment(),
            "HOME": str(self.root),
            "PYTHONDONTWRITEBYTECODE": "1",
            MACHINE_ROOT: str(self.root),
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }

    def say(self, text: str) -> None:
        """Adds a line of the sandbox's own to the log."""
        with self.open_log() as log:
            log.write(f"sandbox: {text}\n".encode())

    def open_log(self) -> BinaryIO:
        """The log, to add to it."""
        return open_log(self.log)
