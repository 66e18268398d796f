"""The separate EBS volume that holds the databases: found by its id, formatted once, mounted by systemd.

It is formatted only if it is proven blank and was never formatted before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.blank_volume import prove_blank
from node.commands import Commands
from node.layout import Layout
from runtime import files
from runtime.errors import FailedError, RefusedError

if TYPE_CHECKING:
    from node.format_record import FormatRecord

MOUNT_UNIT = "var-lib-postgresql.mount"
NOTHING_FOUND = 2  # exit status of blkid, which is also that of a device that it cannot read
_SECTOR_BYTES = 512  # of sysfs, whatever the device's own


@dataclass(frozen=True, kw_only=True)
class DataVolume:
    """The volume with that id (`vol-…`); `record` knows which volumes were ever formatted."""

    layout: Layout
    commands: Commands
    volume: str
    record: FormatRecord

    def mount(self) -> None:
        """Mount it, now and at every boot; format it only if it is blank and never was formatted.

        Raises:
            FailedError: it is not attached yet, cannot be read everywhere, holds something other than an ext4
                file system or has lost one, or a program fails.
        """
        device = self.device()
        try:
            uuid = self._file_system(device)
        except RefusedError as error:
            # Another volume may be attached in its place, which is no new desired state.
            raise FailedError(str(error)) from error
        self._write_unit(uuid)
        self.commands("systemctl", "enable", "--now", MOUNT_UNIT)
        mounted = self.commands(
            "findmnt", "--noheadings", "--output", "UUID", "--mountpoint", str(self.layout.volume)
        ).stdout.strip()
        if mounted != uuid:
            raise FailedError(
                f"{self.layout.volume} has the file system {mounted or 'of the root volume'}, not {uuid}"
            )
        # Does nothing unless the volume was enlarged.
        self.commands("resize2fs", device)

    def device(self) -> str:
        """The device file, by the serial number that EBS gives its NVMe controllers."""
        wanted = self.volume.replace("-", "")
        for serial in sorted((self.layout.root / "sys/block").glob("nvme*/device/serial")):
            if serial.read_text().strip() == wanted:
                return f"/dev/{serial.parent.parent.name}"
        raise FailedError(f"the data volume {self.volume} is not attached to this instance")

    def _size(self, device: str) -> int:
        size = self.layout.root / "sys/block" / Path(device).name / "size"
        try:
            return int(size.read_text()) * _SECTOR_BYTES
        except (OSError, ValueError) as error:
            raise FailedError(f"{size}: {error}") from error

    def _file_system(self, device: str) -> str:
        found = self._probe(device)
        if not found:
            self._format(device)
            found = self._probe(device)
        elif found.get("TYPE") == "ext4":
            self.record.add(self.volume)
        if found.get("TYPE") != "ext4":
            what = found.get("TYPE") or found.get("PTTYPE") or "nothing that blkid knows"
            raise RefusedError(
                f"volume: {self.volume} holds {what}; "
                "only ext4 is mounted, and only a blank volume is formatted"
            )
        return found["UUID"]

    def _format(self, device: str) -> None:
        prove_blank(self.layout.root / device.removeprefix("/"), self._size(device))
        # After a kill, the next run finds what this one recorded before it could format.
        begun = files.read_json_object(self.layout.formatting) == {"volume": self.volume}
        files.replace_file(self.layout.formatting, json.dumps({"volume": self.volume}), durable=True)
        if not self.record.add(self.volume) and not begun:
            self.layout.formatting.unlink()
            raise RefusedError(
                f"volume: {self.volume} reads blank, but {self.record.place} says that it was formatted "
                "before: its data is lost or hidden. Restore it from a snapshot or a backup; if nothing ever "
                "was on it, replace it"
            )
        if self.device() != device:
            raise FailedError(f"{device} is no longer the volume {self.volume}")
        self.commands("mkfs.ext4", "-q", "-m", "1", "-L", "postgresql", device)
        self.layout.formatting.unlink()

    def _probe(self, device: str) -> dict[str, str]:
        answer = self.commands("blkid", "--probe", "--output", "export", device, accept=(0, NOTHING_FOUND))
        if answer.returncode == NOTHING_FOUND:
            return {}
        return dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)

    def _write_unit(self, uuid: str) -> None:
        unit: Path = self.layout.root / "etc/systemd/system" / MOUNT_UNIT
        text = (
            "[Unit]\nDescription=Data volume of PostgreSQL\n\n"
            f"[Mount]\nWhat=/dev/disk/by-uuid/{uuid}\nWhere=/var/lib/postgresql\nType=ext4\n"
            "Options=noatime,nodev,nosuid,noexec\n\n"
            "[Install]\nWantedBy=multi-user.target\n"
        )
        if not unit.exists() or unit.read_text() != text:
            files.make_directory(unit.parent, 0o755)
            files.replace_file(unit, text, 0o644, durable=True)
            self.commands("systemctl", "daemon-reload")
