"""One instance of a group: what its user-data installs, and the gateway that runs from that.

Layout below the instance's folder:
    instance.json   what it is; mode 0600
    root/           the file system, as far as user-data writes to it
    gateway.log     what the gateway prints, and what the sandbox says of it
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from emulator.autoscaling.artifacts import ArtifactError, Artifacts
from emulator.autoscaling.model import Instance, Lifecycle
from emulator.core.child_processes import make_enterable
from emulator.ec2.cloud_init import UserDataError
from emulator.ec2.machine_folder import MachineFolder
from emulator.ec2.metadata import InstanceFacts, MetadataService
from emulator.elb.data_plane.upstream import any_certificate
from emulator.postgresql_server.server_user import ServerUser
from engine import processes
from engine.processes import Identity
from gateway.machine import MACHINE_FILE, Machine

FILE = "instance.json"
LOG = "gateway.log"
HOST = "127.0.0.1"
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# A gateway that lived for so long begins with the shortest pause again.
_STEADY_SECONDS = 60.0
_ENDING_SECONDS = 30.0
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What instances run on."""

    endpoint_url: str
    metadata: MetadataService
    artifacts: Artifacts
    user: ServerUser


class RunningInstance:
    """An instance while the sandbox runs. Its gateway is started again whenever it ends, as systemd does."""

    def __init__(self, folder: Path, instance: Instance, platform: Platform) -> None:
        self.instance = instance
        self._folder = MachineFolder(folder, LOG)
        self._platform = platform
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._parting = threading.Event()
        self._parted = os.eventfd(0)
        self._thread = threading.Thread(
            target=self._supervise, name=f"instance-{instance.instance_id}", daemon=True
        )

    def start(self) -> None:
        """Boots it, or takes over what runs on it."""
        make_enterable(self._folder.path)
        self._change()
        self._metadata = self._platform.metadata.register(self._facts(), self.instance.metadata_path)
        self._thread.start()

    def close(self) -> None:
        """Watches over it no more; the gateway goes on, for a successor to take over."""
        if self._parting.is_set():
            return
        self._parting.set()
        os.eventfd_write(self._parted, 1)
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._parted)

    def halt(self) -> None:
        """Ends the gateway, which may end its requests first; `start` of another object boots it again."""
        self.close()
        identity = self.process
        if identity is not None:
            processes.terminate([identity], _ENDING_SECONDS)
        self._reap()
        self._change(process=None)

    def terminate(self) -> None:
        """Ends the instance for good."""
        self.halt()
        self._platform.metadata.forget(self.instance.instance_id)
        shutil.rmtree(self._folder.path, ignore_errors=True)

    def enter(self, lifecycle: Lifecycle) -> None:
        """Goes on to another part of its life."""
        if lifecycle != self.instance.lifecycle:
            self._change(lifecycle=lifecycle)

    @property
    def process(self) -> Identity | None:
        """What runs on it, None while nothing does."""
        identity = self.instance.process
        return identity if identity is not None and identity.is_alive else None

    @property
    def artifact(self) -> str | None:
        """SHA-256 of what it runs; None while that is not known."""
        with contextlib.suppress(OSError, ValidationError):
            return self._machine().artifact.sha256
        return None

    @property
    def log(self) -> Path:
        """What the gateway prints."""
        return self._folder.log

    def serves(self, path: str) -> bool:
        """Whether the gateway itself answers a path with 200."""
        if self.process is None:
            return False
        # As a load balancer does, which does not look at a target's certificate either.
        connection = http.client.HTTPSConnection(
            HOST, self.instance.port, timeout=_ANSWER_SECONDS, context=any_certificate()
        )
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _supervise(self) -> None:
        failures = 0
        while not self._parting.is_set():
            began = time.monotonic()
            identity = self.process
            if identity is None:
                try:
                    identity = self._launch()
                except (ArtifactError, UserDataError, ValidationError, OSError) as error:
                    self._folder.say(f"does not start: {error}")
            if identity is not None:
                if not self._outlives(identity):
                    return
                status = self._reap()
                if self._parting.is_set():
                    return
                self._folder.say(f"the gateway has ended{'' if status is None else f' with status {status}'}")
            if time.monotonic() - began > _STEADY_SECONDS:
                failures = 0
            pause = _PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS) - 1)]
            failures += 1
            self._parting.wait(pause)

    def _outlives(self, identity: Identity) -> bool:
        """Waits for the end of the gateway; False when this object is asked to part before."""
        try:
            descriptor = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            return True
        try:
            if not identity.is_alive:
                return True
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.register(self._parted, select.POLLIN)
            return any(number == descriptor for number, _ in poll.poll())
        finally:
            os.close(descriptor)

    def _launch(self) -> Identity | None:
        """Starts the gateway; None when user-data installs none."""
        self._folder.boot(base64.b64decode(self.instance.template.user_data))
        if not self._machine_file.exists():
            self._folder.say(f"user-data writes no {MACHINE_FILE}: this instance does nothing")
            self._parting.wait()
            return None
        if self._platform.user.switched:
            os.chown(self._machine_file, self._platform.user.uid, self._platform.user.gid)
        machine = self._machine()
        code = self._platform.artifacts.ensure(machine.artifact, machine.region, self._metadata)
        if self._parting.is_set():
            return None
        with self._folder.open_log() as log:
            child = subprocess.Popen(
                self._command(),
                cwd="/",
                env=self._environment(code),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        self._child = child
        identity = processes.identity_of(child.pid)
        if identity is not None:
            self._change(process=identity)
        return identity

    def _command(self) -> list[str]:
        # Not the environment's own interpreter: that would find the checkout's packages.
        interpreter = Path(sys.executable).resolve()
        user = self._platform.user
        may_run = _may_run(user, interpreter)
        if not may_run:
            self._folder.say(
                f"user {user.name} cannot run {interpreter}, so the gateway runs as this process's user"
            )
        return [
            *(user.prefix if may_run else ()),
            *(str(interpreter), "-P", "-s", "-m", "gateway"),
            *("--machine", str(self._machine_file)),
            *("--port", str(self.instance.port)),
            *("--metrics-port", str(self.instance.metrics_port)),
            *("--address", HOST),
        ]

    def _environment(self, code: Path) -> dict[str, str]:
        return {
            **self._folder.environment(self._platform.endpoint_url, self._metadata, self.instance.region),
            "PYTHONPATH": str(code),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "localhost,127.0.0.1,::1",
        }

    def _reap(self) -> int | None:
        """The status of a gateway that this process started, and that has ended."""
        child, self._child = self._child, None
        return None if child is None else child.wait()

    def _facts(self) -> InstanceFacts:
        template, subnet = self.instance.template.model_dump(), self.instance.subnet.model_dump()
        return InstanceFacts.declared({**template, **subnet, **self.instance.model_dump()})

    @property
    def _machine_file(self) -> Path:
        return self._folder.root / MACHINE_FILE.lstrip("/")

    def _machine(self) -> Machine:
        return Machine.model_validate_json(self._machine_file.read_text())

    def _change(self, **values: Any) -> None:
        with self._lock:
            self.instance = self.instance.changed(**values)
            with contextlib.suppress(FileNotFoundError):  # terminated in the meantime
                self.instance.save(self._folder.path / FILE)


def _may_run(user: ServerUser, interpreter: Path) -> bool:
    """Whether a user can start an interpreter, which may lie in a folder of somebody else."""
    command = [*user.prefix, str(interpreter), "-I", "-S", "-c", ""]
    tried = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return tried.returncode == 0
