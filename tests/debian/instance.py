"""An EC2 instance that is a virtual machine: what the sandbox launched, in a file that both sides read."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from emulator.ec2.metadata import InstanceFacts
from runtime.files import replace_file

FILE = "instance.json"


class Instance(BaseModel):
    """What a virtual machine is, and what surrounds it.

    Attributes:
        metadata: Base address of its metadata in the sandbox.
        aws: URL of the sandbox's AWS.
        user_data: In base64.
        forwarded: TCP ports of the machine by the port of this host's loopback that leads to them.
        rds: TCP port of this host's loopback that the machine reaches on its own; 0 for none.
        volume: The data volume, None while none is attached.
        disk: What the data volume holds, a file that is made when it is not there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    facts: InstanceFacts
    metadata: str
    aws: str
    user_data: str
    forwarded: dict[int, int]
    rds: int = 0
    volume: str | None = None
    disk: Path | None = None

    @classmethod
    def load(cls, folder: Path) -> Instance:
        """The instance of a folder, as it is now."""
        return cls.model_validate_json((folder / FILE).read_text())

    def save(self, folder: Path) -> None:
        """Write it for `load`."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(folder / FILE, self.model_dump_json(indent=2))

    @property
    def digest(self) -> str:
        """Hexadecimal digits that differ between instances."""
        return hashlib.sha256(self.facts.instance_id.encode()).hexdigest()

    @property
    def mac(self) -> str:
        """Address of its network card."""
        return ":".join(["06", *(self.digest[at : at + 2] for at in range(0, 10, 2))])

    @property
    def subnet(self) -> IPv4Network:
        """A network that its address may lie in."""
        return IPv4Network(f"{self.facts.private_ip}/20", strict=False)
