"""A virtual machine as an EC2 instance: Debian's kernel on qemu, NVMe volumes with the serials of EBS.

`python -m tests.debian.machine FOLDER IMAGE` boots the instance of a folder and ends with it. It runs on KVM
where a kernel boots with that, otherwise its processor is emulated.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.debian.image import RDS_VARIABLE, Image
from tests.debian.instance import Instance
from tests.debian.outages import Outages
from tests.debian.surroundings import RESOLVER, surround

ACCELERATOR_VARIABLE = "PASSWORDLESS_POSTGRES_DEBIAN_ACCELERATOR"
MEMORY_MIB = 1536
ROOT_BYTES = 8 << 30
_DATA_BYTES = 20 << 30
_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 30.0
_SHUTDOWN_SECONDS = 120.0
_KVM_SECONDS = 20.0
# Five levels of page tables slow an emulated processor down.
_PROCESSOR = "max,la57=off"
_PANIC = "Kernel panic"
# qemu's user network asks the resolver of /etc/resolv.conf, which is another file for it alone.
_WITH_RESOLVER = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


class Unreachable(Exception):
    """The machine does not answer, as while it boots."""


class CommandFailed(AssertionError):
    """A command on the machine failed; the text has what it printed."""


@dataclass(frozen=True)
class Machine:
    """The virtual machine of a folder, while it runs and while it does not."""

    folder: Path

    @property
    def instance(self) -> Instance:
        """What it is at the moment."""
        return Instance.load(self.folder)

    @property
    def outages(self) -> Outages:
        """What of its surroundings is away."""
        return Outages(self.folder / "outages")

    @property
    def console(self) -> str:
        """All that its kernel and its services have printed there."""
        return (self.folder / "console.log").read_text(errors="replace")

    def run(self, *commands: str, seconds: float = 600.0) -> str:
        """What a shell prints that stops at the first failure.

        Raises:
            CommandFailed: One failed.
            Unreachable: There is no answer, or no end after that many seconds.
        """
        arguments = {"path": "/bin/bash", "arg": ["-ec", "\n".join(commands)], "capture-output": True}
        started = self._agent("guest-exec", arguments)["pid"]
        deadline = time.monotonic() + seconds
        while not (status := self._agent("guest-exec-status", {"pid": started}))["exited"]:
            if time.monotonic() > deadline:
                raise Unreachable(f"{commands} does not end in {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)
        output, errors = (
            base64.b64decode(status.get(name, "")).decode(errors="replace")
            for name in ("out-data", "err-data")
        )
        if status.get("exitcode") != 0:
            raise CommandFailed(f"{commands}: status {status.get('exitcode')}\n{output}{errors}")
        return output

    def await_success(self, *commands: str, seconds: float = 600.0) -> str:
        """The output of commands that fail at first, as while it boots.

        An emulated processor panics now and then in the kernel's timers at boot; that alone is tried again,
        and said.

        Raises:
            CommandFailed: They still fail after that many seconds.
        """
        deadline = time.monotonic() + seconds
        panics = self.console.count(_PANIC)
        while True:
            try:
                return self.run(*commands, seconds=seconds)
            except (Unreachable, CommandFailed) as error:
                if self.console.count(_PANIC) > panics:
                    if not is_emulated():
                        raise CommandFailed(f"the kernel panicked: {self.console[-4000:]}") from error
                    panics += 1
                    print(f"{self.folder.name}: the emulator's panic at boot; starting again", flush=True)
                    self.reset()
                elif time.monotonic() > deadline:
                    raise CommandFailed(
                        f"after {seconds:.0f} s: {error}\nconsole:\n{self.console[-3000:]}"
                    ) from error
            time.sleep(1)

    def reset(self) -> None:
        """Cut the power and give it back: what the kernel has not written to its disks is lost."""
        self.qmp("system_reset")

    def shut_down(self) -> None:
        """End it as EC2 stops an instance: asked first, by force after two minutes."""
        with contextlib.suppress(Unreachable):
            self.qmp("system_powerdown")
            deadline = time.monotonic() + _SHUTDOWN_SECONDS
            while time.monotonic() < deadline:
                self.qmp("query-status")
                time.sleep(_POLL_SECONDS)
            self.qmp("quit")

    def await_start(self) -> None:
        """Return as soon as it is there, before anything boots on it."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            with contextlib.suppress(Unreachable):
                self.qmp("query-status")
                return
            if time.monotonic() > deadline:
                raise Unreachable(f"qemu does not start: {(self.folder / 'process.log').read_text()[-2000:]}")
            time.sleep(_POLL_SECONDS)

    def attach(self, volume: str, disk: Path) -> None:
        """Plug a data volume in while it runs."""
        file = {"driver": "file", "filename": str(_data(disk)), "discard": "unmap"}
        cache = {"direct": False, "no-flush": True}
        self.qmp("blockdev-add", {"driver": "raw", "node-name": "data", "cache": cache, "file": file})
        device = {"driver": "nvme", "bus": "data-port", "drive": "data", "id": "data-device"}
        self.qmp("device_add", {**device, "serial": _serial(volume)})

    def detach(self) -> None:
        """Pull the data volume out while it runs."""
        self.qmp("device_del", {"id": "data-device"})
        deadline = time.monotonic() + _SHUTDOWN_SECONDS
        while True:
            # It is in use until the kernel has let go of the device and qemu has taken it apart.
            try:
                self.qmp("blockdev-del", {"node-name": "data"})
            except CommandFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return

    def qmp(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """What qemu's monitor answers.

        Raises:
            Unreachable: It does not run.
            CommandFailed: It refuses.
        """
        with _connected(self.folder / "monitor.sock") as stream:
            stream.readline()
            _ask(stream, "qmp_capabilities")
            return _ask(stream, command, arguments)

    def _agent(self, command: str, arguments: dict[str, Any]) -> Any:
        with _connected(self.folder / "agent.sock") as stream:
            # An answer to somebody who went away may still be in the way.
            token = time.monotonic_ns() % (1 << 31)
            stream.write(b"\xff" + _line("guest-sync-delimited", {"id": token}))
            stream.flush()
            while (line := stream.readline()) and json.loads(line.rpartition(b"\xff")[2] or b"{}") != {
                "return": token
            }:
                pass
            return _ask(stream, command, arguments)


@contextlib.contextmanager
def _connected(path: Path) -> Any:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(str(path))
            with connection.makefile("rwb") as stream:
                yield stream
        except (OSError, ValueError) as error:
            raise Unreachable(f"{path.name}: {error}") from error


def _line(command: str, arguments: dict[str, Any] | None) -> bytes:
    request = {"execute": command} | ({} if arguments is None else {"arguments": arguments})
    return json.dumps(request).encode() + b"\n"


def _ask(stream: Any, command: str, arguments: dict[str, Any] | None = None) -> Any:
    stream.write(_line(command, arguments))
    stream.flush()
    while line := stream.readline():
        answer = json.loads(line)
        if "error" in answer:
            raise CommandFailed(f"{command}: {answer['error']}")
        if "return" in answer:
            return answer["return"]
    raise Unreachable(f"{command}: no answer")


def accelerator(image: Image) -> str:
    """What runs the machines: `kvm` if a kernel gets as far as to miss its root device with it, else `tcg`.

    That /dev/kvm can be opened does not say it: what stands for KVM in some virtual machines cannot run the
    code of a kernel that was not made for it.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    trying = ["qemu-system-x86_64", "-nodefaults", "-M", "q35", "-accel", "kvm", "-cpu", _PROCESSOR]
    trying += ["-m", "512", "-display", "none", "-no-reboot", "-kernel", str(image.kernel)]
    try:
        tried = subprocess.run(
            [*trying, "-append", "panic=-1"], capture_output=True, timeout=_KVM_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if tried.returncode == 0 else "tcg"


def is_emulated() -> bool:
    """Whether the machines' processor is emulated: everything takes ten times as long."""
    return os.environ[ACCELERATOR_VARIABLE] == "tcg"


def _serial(volume: str) -> str:
    """As EBS shows it: `vol-…` without the hyphen."""
    return volume.replace("-", "")


def _data(disk: Path) -> Path:
    if not disk.exists():
        with disk.open("wb") as file:
            file.truncate(_DATA_BYTES)
    return disk


def _command(folder: Path, instance: Instance, image: Image) -> list[str]:
    root = folder / "root.qcow2"
    if not root.exists():
        made = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image.disk), "-F", "raw", str(root)]
        subprocess.run([*made, str(ROOT_BYTES)], check=True)
    subnet, facts = instance.subnet, instance.facts
    network = f"user,id=net,net={subnet},host={subnet[1]},dns={subnet[2]},dhcpstart={facts.private_ip}"
    network += "".join(
        f",hostfwd=tcp:127.0.0.1:{outer}-:{inner}" for outer, inner in instance.forwarded.items()
    )
    kernel = "root=LABEL=root ro console=ttyS0" + (f" {RDS_VARIABLE}={instance.rds}" if instance.rds else "")
    identity = f"ec2{instance.digest[:5]}-1111-2222-3333-{instance.digest[:12]}"
    options = {
        "-M": ["q35"],
        "-accel": ["tcg,thread=multi,tb-size=1024" if is_emulated() else "kvm"],
        "-cpu": [_PROCESSOR],
        "-smp": ["2"],
        "-m": [str(MEMORY_MIB)],
        "-display": ["none"],
        "-kernel": [str(image.kernel)],
        "-initrd": [str(image.initrd)],
        "-append": [kernel],
        # A power loss is one of the machine, not of this host: flushing this host's cache gains nothing.
        "-drive": [f"file={root},if=none,id=root,format=qcow2,cache=unsafe,discard=unmap"],
        "-netdev": [network],
        "-chardev": [
            f"socket,path={folder}/agent.sock,server=on,wait=off,id=agent",
            f"file,path={folder}/console.log,append=on,id=console",
        ],
        "-device": [
            "nvme,drive=root,serial=vol0aaaaaaaaaaaaaaaa",
            "pcie-root-port,id=data-port,chassis=1,slot=1",
            f"virtio-net-pci,netdev=net,mac={instance.mac}",
            "virtio-rng-pci",
            "virtio-serial-pci",
            "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
        ],
        "-serial": ["chardev:console"],
        "-qmp": [f"unix:{folder}/monitor.sock,server=on,wait=off"],
        "-smbios": [
            "type=0,vendor=Amazon EC2,version=1.0",
            f"type=1,manufacturer=Amazon EC2,product={facts.instance_type},uuid={identity},serial={identity}",
            "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
        ],
    }
    if instance.volume is not None and instance.disk is not None:
        options["-drive"].append(
            f"file={_data(instance.disk)},if=none,id=data,format=raw,cache=unsafe,discard=unmap"
        )
        options["-device"].append(
            f"nvme,bus=data-port,drive=data,id=data-device,serial={_serial(instance.volume)}"
        )
    given = [word for option, values in options.items() for value in values for word in (option, value)]
    return ["qemu-system-x86_64", "-nodefaults", "-no-user-config", *given]


def main(folder: Path, image: Image) -> int:
    """Boot the instance of a folder; the exit status of qemu."""
    namespace = surround(folder, image)
    resolver = folder / "resolv.conf"
    resolver.write_text(f"nameserver {RESOLVER}\n")
    enter = [*namespace.enter, "unshare", "--mount", "sh", "-ec", _WITH_RESOLVER, str(resolver)]
    qemu = subprocess.Popen([*enter, *_command(folder, Instance.load(folder), image)])
    signal.signal(signal.SIGTERM, lambda *_: qemu.terminate())
    return qemu.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Image(Path(sys.argv[2]))))
