"""All RDS instances of a sandbox.

Layout below the state folder:
    rds-ca-bundle.pem              what clients trust
    rds/authority/                 the certificate authorities
    rds/<identifier>/              instance.json, the server's certificate and key, iam-db-auth-error.log
    rds/<identifier>/server/       data, log and socket of PostgreSQL, which its own user owns
    snapshots/rds-<identifier>/    data of a deleted instance, when a final snapshot was asked for
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from emulator.core.event_loop import EventLoop
from emulator.core.state_layout import RDS, RDS_CA_BUNDLE
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.credentials import REGION
from emulator.rds.authority import Authority
from emulator.rds.data_plane.login_log import LoginLog
from emulator.rds.model import FILE, Instance
from emulator.rds.parameter_state import changed
from emulator.rds.running_instance import Platform, RunningInstance
from emulator.rds.server import ServerError
from node.server_user import ServerUser
from postgres.rds_parameters import Parameter

AUTHENTICATION_SECONDS = 60.0
_RENEWAL_SECONDS = 3600.0

_log = logging.getLogger("emulator.rds")


class UnknownInstance(Exception):
    """There is no instance of that name."""


class Databases:
    """All instances.

    Args:
        aws: Its AWS endpoint.
        binaries: Folder with `postgres`, `initdb` and `pg_ctl` per major release.
        server_user: OS user that runs PostgreSQL when this process is root, else None.
        authentication_seconds: How long a login may take.
    """

    def __init__(
        self,
        state_dir: Path,
        aws: AwsEndpoint,
        binaries: Mapping[int, Path],
        server_user: str | None = None,
        authentication_seconds: float = AUTHENTICATION_SECONDS,
    ) -> None:
        self._folder = state_dir / RDS
        self._snapshots = state_dir / "snapshots"
        self.bundle = state_dir / RDS_CA_BUNDLE
        self._platform = Platform(
            aws=aws,
            authority=Authority(self._folder / "authority", self.bundle, REGION),
            loop=EventLoop("rds"),
            login_log=LoginLog(aws),
            binaries=dict(binaries),
            user=ServerUser.named(server_user),
            authentication_seconds=authentication_seconds,
        )
        self._instances: dict[str, RunningInstance] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Starts every instance in a thread of its own; returns when the authorities exist."""
        # The servers' user must pass through, but needs to read no names here.
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._folder.chmod(0o711)
        self._platform.authority.prepare()
        self._platform.loop.start()
        threading.Thread(target=self._renew, name="rds-renewal", daemon=True).start()
        for record in sorted(self._folder.glob(f"*/{FILE}")):
            instance = Instance.load(record)
            running = RunningInstance(record.parent, instance, self._platform)
            self._instances[instance.resource_id] = running
            if instance.prepared:
                running.announce("starting")
                self._in_background(running, running.start)

    def stop(self) -> None:
        """Closes the endpoints; the servers go on."""
        self._end(RunningInstance.close)

    def stop_all(self) -> None:
        """Closes the endpoints and stops the servers; `start` brings them back.

        Raises:
            RuntimeError: A server does not end.
        """
        self._end(RunningInstance.halt)

    @property
    def instances(self) -> Sequence[Instance]:
        with self._lock:
            return [running.instance for running in self._instances.values()]

    def named(self, identifier: str) -> Instance:
        """One of them.

        Raises:
            UnknownInstance: There is none.
        """
        return self._named(identifier).instance

    def create(self, instance: Instance, password: str) -> None:
        """Makes an instance, or finishes what a kill interrupted.

        Raises:
            ServerError: PostgreSQL refuses; nothing is left.
            OSError: The port is taken; nothing is left.
        """
        folder = self._folder / instance.identifier
        with self._lock:
            running = self._instances.get(instance.resource_id)
            if running is None:
                folder.mkdir(mode=0o711, parents=True, exist_ok=True)
                folder.chmod(0o711)
                running = RunningInstance(folder, instance, self._platform)
                self._instances[instance.resource_id] = running
        try:
            running.create(instance, password)
        except (ServerError, OSError):
            self.delete(instance.resource_id)
            raise

    def change(
        self, resource_id: str, change: Callable[[Instance], Instance], password: str | None = None
    ) -> None:
        """Changes an instance, and its master's password if one is given.

        Raises:
            UnknownInstance: There is none with this resource id.
            ServerError: PostgreSQL refuses.
            OSError: The new port is taken.
        """
        with self._lock:
            running = self._instances.get(resource_id)
        if running is None:
            raise UnknownInstance(resource_id)
        running.change(change(running.instance), password)

    def change_group(self, name: str, parameters: Sequence[Parameter]) -> None:
        """Applies a change of a parameter group to the instances that use it.

        Raises:
            ServerError: A server refuses.
        """
        for instance in self.instances:
            if instance.parameters.group == name:
                self.change(
                    instance.resource_id,
                    lambda found: found.changed(parameters=changed(found.parameters, parameters)),
                )

    def reboot(self, identifier: str) -> Instance:
        """Reboots an instance in the background, and returns it as it is meanwhile.

        Raises:
            UnknownInstance: There is none.
        """
        running = self._named(identifier)
        running.announce("rebooting")
        self._in_background(running, running.reboot)
        return running.instance

    def delete(self, resource_id: str, final_snapshot: str | None = None) -> None:
        """Deletes an instance; what is gone already is no error.

        Raises:
            RuntimeError: Its server does not end, or there is such a snapshot.
        """
        with self._lock:
            running = self._instances.get(resource_id)
        if running is None:
            return
        running.remove(self._snapshots / f"rds-{final_snapshot}" if final_snapshot else None)
        with self._lock:
            self._instances.pop(resource_id, None)

    def _named(self, identifier: str) -> RunningInstance:
        with self._lock:
            for running in self._instances.values():
                if running.instance.identifier == identifier:
                    return running
        raise UnknownInstance(identifier)

    def _end(self, end: Callable[[RunningInstance], None]) -> None:
        self._stopping.set()
        with self._lock:
            running = list(self._instances.values())
            self._instances.clear()
        for instance in running:
            end(instance)
        self._platform.loop.stop()
        self._platform.login_log.stop()

    def _in_background(self, running: RunningInstance, act: Callable[[], None]) -> None:
        def work() -> None:
            try:
                act()
            except (ServerError, OSError) as error:
                _log.error("%s: %s", running.instance.identifier, error)

        threading.Thread(target=work, name=f"rds-{running.instance.identifier}", daemon=True).start()

    def _renew(self) -> None:
        while not self._stopping.wait(_RENEWAL_SECONDS):
            with self._lock:
                running = list(self._instances.values())
            for instance in running:
                instance.renew()
