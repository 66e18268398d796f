"""Stand-ins for EC2 instances: a root folder each, with a timer that runs what user-data installed.

Layout below the state folder:
    machines/<instance>/instance.json   what was launched; the registry
    machines/<instance>/root/           the machine's file system
    machines/<instance>/node.log        what the launcher prints
    volumes/<volume>/                   a data volume; <root>/var/lib/postgresql points to it while attached
    snapshots/<snapshot>/               what a deleted volume held, when a final snapshot was asked for
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.core.child_processes import make_enterable
from emulator.core.state_layout import MACHINES
from emulator.ec2.cloud_init import written_files
from emulator.ec2.machine_folder import MachineFolder
from emulator.ec2.metadata import InstanceFacts, MetadataService
from emulator.endpoint.operations import Operation
from emulator.postgresql_server.postmasters import remove_sockets, stop_postmasters
from node.state import MANIFEST_KEY
from runtime.files import replace_file

LAUNCHER = "opt/passwordless-postgres/launcher"
MACHINE = "etc/passwordless-postgres/machine.json"
PLATFORM = "etc/passwordless-postgres/platform.json"
DATA = "var/lib/postgresql"
TICK_SECONDS = 10.0
_LAUNCHER_GRACE_SECONDS = 60.0


class Machines:
    """All instances of a sandbox.

    Args:
        binaries: Folder with `postgres` and `initdb` per major release.
        server_user: OS user that runs PostgreSQL when this process is root, else None.
    """

    def __init__(
        self,
        state_dir: Path,
        endpoint_url: str,
        metadata: MetadataService,
        binaries: Mapping[int, Path],
        server_user: str | None = None,
    ) -> None:
        self._folder = state_dir / MACHINES
        self._volumes = state_dir / "volumes"
        self._snapshots = state_dir / "snapshots"
        self._endpoint_url = endpoint_url
        self._metadata = metadata
        self._platform = {
            "platform": "prefix",
            "binaries": {str(major): str(path) for major, path in binaries.items()},
            "serverUser": server_user,
            "listenAddresses": ["localhost"],
        }
        self._server_user = server_user
        self._running: dict[str, _Machine] = {}
        self._lock = threading.RLock()
        for folder in (self._folder, self._volumes, self._snapshots):
            make_enterable(folder)

    def start(self) -> None:
        """Boots every instance that was launched and not terminated."""
        with self._lock:
            for record in sorted(self._folder.glob("*/instance.json")):
                self._boot(json.loads(record.read_text()))

    def stop(self) -> None:
        """Ends the timers; what the machines run, above all PostgreSQL, goes on."""
        with self._lock:
            machines = list(self._running.values())
            self._running.clear()
        for machine in machines:
            machine.ask_to_stop()
        for machine in machines:
            machine.join()

    def stop_all(self) -> None:
        """Ends the timers and every PostgreSQL; all data stays, and `start` boots the instances again.

        Raises:
            RuntimeError: A PostgreSQL does not end.
        """
        self.stop()
        for root in self._folder.glob("*/root"):
            stop_postmasters(root)
        stop_postmasters(self._volumes)

    def launch(self, facts: InstanceFacts, user_data: bytes) -> None:
        """Launches an instance, or finishes a launch that a kill interrupted.

        Raises:
            UserDataError: User-data cannot be read.
        """
        encoded = base64.b64encode(user_data).decode()
        with self._lock:
            path = self._record(facts.instance_id)
            volume = json.loads(path.read_text())["volume"] if path.exists() else None
            record = {"facts": facts.model_dump(), "userData": encoded, "volume": volume}
            written_files(user_data)
            make_enterable(path.parent)
            _write(path, record)
            self._boot(record)

    def configure(self, facts: InstanceFacts) -> None:
        """Changes what an instance reads about itself, such as its instance profile."""
        with self._lock:
            path = self._record(facts.instance_id)
            if path.exists():
                _write(path, {**json.loads(path.read_text()), "facts": facts.model_dump()})
                self._metadata.register(facts)

    def terminate(self, instance_id: str) -> None:
        """Stops an instance and what it runs, and removes its root; volumes stay.

        Raises:
            RuntimeError: Its PostgreSQL does not end.
        """
        folder = self._folder / instance_id
        self._halt(instance_id)
        self._metadata.forget(instance_id)
        if folder.exists():
            stop_postmasters(folder / "root")
            remove_sockets(folder / "root")
            with contextlib.suppress(FileNotFoundError):
                (folder / "instance.json").unlink()
            shutil.rmtree(folder)

    def attach(self, volume_id: str, instance_id: str) -> None:
        """Attaches a volume, which is made when it is new; a timer that waited for it begins."""
        with self._lock:
            record = json.loads(self._record(instance_id).read_text())
            volume = self._volumes / volume_id
            if not volume.exists():
                volume.mkdir(mode=0o700)
                if self._server_user is not None:
                    shutil.chown(volume, self._server_user)
            target = self._folder / instance_id / "root" / DATA
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if target.is_symlink():
                target.unlink()
            elif target.is_dir():
                # A mount would hide what the image has there.
                shutil.rmtree(target)
            target.symlink_to(Path("../../../../../volumes") / volume_id)
            _write(self._record(instance_id), {**record, "volume": volume_id})
            machine = self._running.get(instance_id)
            if machine is not None:
                machine.attached = volume_id
                machine.wake()

    def detach(self, volume_id: str) -> None:
        """Detaches a volume; a PostgreSQL on it is stopped first, and the timer of its instance waits.

        Raises:
            RuntimeError: The PostgreSQL does not end.
        """
        for path in self._folder.glob("*/instance.json"):
            record = json.loads(path.read_text())
            if record["volume"] != volume_id:
                continue
            self._halt(path.parent.name)
            stop_postmasters(path.parent / "root")
            stop_postmasters(self._volumes / volume_id)
            with self._lock:
                target = path.parent / "root" / DATA
                if target.is_symlink():
                    target.unlink()
                record["volume"] = None
                _write(path, record)
                self._boot(record)

    def delete_volume(self, volume_id: str, snapshot_id: str | None = None) -> None:
        """Deletes a detached volume, or keeps what it holds as a snapshot."""
        volume = self._volumes / volume_id
        if not volume.exists():
            return
        if snapshot_id is not None:
            volume.rename(self._snapshots / snapshot_id)
        else:
            shutil.rmtree(volume)

    def notice(self, operation: Operation) -> None:
        """Runs a machine's launcher at once when its manifest was written; for `AwsEndpoint.on_write`."""
        if operation.full_name != "s3:PutObject" or operation.parameters.get("Key") != MANIFEST_KEY:
            return
        with self._lock:
            for machine in self._running.values():
                if machine.bucket == operation.parameters.get("Bucket"):
                    machine.wake()

    def _record(self, instance_id: str) -> Path:
        return self._folder / instance_id / "instance.json"

    def _halt(self, instance_id: str) -> None:
        with self._lock:
            machine = self._running.pop(instance_id, None)
        if machine is not None:
            machine.ask_to_stop()
            machine.join()

    def _boot(self, record: Mapping[str, Any]) -> None:
        facts = InstanceFacts(**record["facts"])
        if facts.instance_id in self._running:
            return
        folder = MachineFolder(self._folder / facts.instance_id, "node.log")
        folder.boot(base64.b64decode(record["userData"]))
        platform = folder.root / PLATFORM
        platform.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        platform.write_text(json.dumps(self._platform))
        server_user = None if self._server_user is None else pwd.getpwnam(self._server_user).pw_uid
        metadata = self._metadata.register(facts, kept_out=server_user)
        environment = folder.environment(self._endpoint_url, metadata, facts.region)
        machine = _Machine(folder, environment, record["volume"])
        self._running[facts.instance_id] = machine
        machine.start()


class _Machine(threading.Thread):
    """One instance's timer: runs the launcher, waits for its end, waits a moment, runs it again."""

    def __init__(self, folder: MachineFolder, environment: Mapping[str, str], attached: str | None) -> None:
        super().__init__(name=f"machine-{folder.path.name}", daemon=True)
        self.attached = attached
        self._folder = folder
        self._environment = environment
        self._wakened = threading.Event()
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        machine = folder.root / MACHINE
        document = json.loads(machine.read_text()) if machine.exists() else {}
        self.bucket: str | None = document.get("bucket")
        self._wanted_volume: str | None = document.get("volume")

    def wake(self) -> None:
        """Runs the launcher as soon as the current run is over."""
        self._wakened.set()

    def ask_to_stop(self) -> None:
        """Ends after the current run."""
        self._stopping = True
        self._wakened.set()

    def join(self, timeout: float | None = None) -> None:
        """Waits for the end; a launcher that does not end in time is terminated."""
        super().join(_LAUNCHER_GRACE_SECONDS if timeout is None else timeout)
        process = self._process
        if self.is_alive() and process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            super().join(_LAUNCHER_GRACE_SECONDS)

    def run(self) -> None:
        if not (self._folder.root / LAUNCHER).exists():
            self._folder.say(f"user-data installs no /{LAUNCHER}: this machine does nothing")
            return
        if self._wanted_volume not in (None, self.attached):
            self._folder.say(f"waiting for volume {self._wanted_volume} to be attached")
        while not self._stopping:
            self._wakened.clear()
            if self._wanted_volume is None or self._wanted_volume == self.attached:
                self._launch()
            if not self._stopping:
                self._wakened.wait(TICK_SECONDS)

    def _launch(self) -> None:
        lock = os.open(self._folder.path / "launcher.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # The launcher inherits the lock: one that outlived a killed sandbox still holds it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
        try:
            with self._folder.open_log() as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(self._folder.root / LAUNCHER)],
                    cwd=self._folder.root,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            self._process.wait()
        finally:
            os.close(lock)


def _write(path: Path, record: Mapping[str, Any]) -> None:
    replace_file(path, json.dumps(record))
