"""A sandbox whose database and gateway machines are virtual machines with Debian 13."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.desired_state import FORMATTED_VOLUMES_KEY
from tests.behaviour.conftest import ROOT, RunningSandbox, discard, make_sandbox
from tests.behaviour.iam_tokens import client
from tests.debian import virtual_machines
from tests.debian.image import Image
from tests.debian.machine import ACCELERATOR_VARIABLE, Machine, Unreachable, accelerator
from tests.debian.virtual_machines import FOLDER, IMAGE_VARIABLE

HOOK = Path(__file__).parent / "hook"
# Where machines meet the clients that come through qemu's user network.
_NETWORK = "10.20.0.0/16"
UP_SECONDS = 4800.0


@dataclass(kw_only=True)
class DebianSandbox(RunningSandbox):
    """One sandbox, and its machines."""

    image: Image

    def __post_init__(self) -> None:
        super().__post_init__()
        os.environ.setdefault(ACCELERATOR_VARIABLE, accelerator(self.image))
        paths = (str(HOOK), str(ROOT))
        self.environment |= {"PYTHONPATH": os.pathsep.join(paths), IMAGE_VARIABLE: str(self.image.folder)}
        self.environment[ACCELERATOR_VARIABLE] = os.environ[ACCELERATOR_VARIABLE]

    @property
    def database_machine(self) -> Machine:
        """The machine that has a data volume, or will have one."""
        (record,) = self.state.glob("machines/*/instance.json")
        return Machine(self.state / FOLDER / record.parent.name)

    @property
    def gateway_machine(self) -> Machine:
        """The one machine of the gateway's group."""
        (record,) = self.state.glob("auto-scaling/groups/*/instances/*/instance.json")
        return Machine(self.state / FOLDER / record.parent.name)

    def up(self) -> Any:
        """`make up`, in which machines boot and fetch packages."""
        self._outputs.clear()
        return self.run("up", "--stack-file", str(self.stack_file), timeout=UP_SECONDS)

    def boot_anew(self, machine: Machine) -> None:
        """Boot the database's machine with a new root disk and a new volume, as if it were its first time."""
        with suppress(Unreachable):
            machine.qmp("quit")
        while virtual_machines.is_running(machine.folder):
            time.sleep(0.1)
        instance = machine.instance
        for disk in (machine.folder / "root.qcow2", machine.folder / "console.log", instance.disk):
            if disk is not None:
                disk.unlink(missing_ok=True)
        objects = client("s3", self.aws_environment())
        for bucket in objects.list_buckets()["Buckets"]:
            objects.delete_object(Bucket=bucket["Name"], Key=FORMATTED_VOLUMES_KEY)
        virtual_machines.start(machine.folder, self.state, self.environment)

    def report(self) -> dict[str, Any]:
        """What the database's machine reported last."""
        status = self.run("status", "--json")
        (machine,) = json.loads(status.stdout)["machines"]
        return machine


@contextmanager
def debian_sandbox(image: Image, *sections: str) -> Iterator[DebianSandbox]:
    """One that is not deployed yet, and is discarded at the end; `sections` as `make_sandbox` takes them."""
    plain = make_sandbox(17, *sections)
    sandbox = DebianSandbox(state=plain.state, stack_file=plain.stack_file, folder=plain.folder, image=image)
    sandbox.edit(_for_machines)
    if "gateway" in sections:
        sandbox.edit(_for_gateway, "gateway")
    try:
        yield sandbox
    finally:
        discard(sandbox)


def _for_machines(section: dict[str, Any]) -> None:
    section |= {"instanceType": "m7i.large", "reportDeadlineSeconds": 3600}
    section["allowedClients"]["networks"].append(_NETWORK)
    for role in section["roles"].values():
        role["networks"].append(_NETWORK)


def _for_gateway(section: dict[str, Any]) -> None:
    section["instanceType"] = "t3.small"
    del section["platform"]
