"""One running instance: its server and its endpoint."""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from emulator.core.event_loop import EventLoop
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.postgresql_server.postmasters import ended
from emulator.rds.authority import Authority
from emulator.rds.data_plane.endpoint import Endpoint, Rules
from emulator.rds.data_plane.iam_login import IamLogin
from emulator.rds.data_plane.login_log import LoginLog
from emulator.rds.data_plane.membership import Membership
from emulator.rds.data_plane.tls_settings import tls_context, unsupported
from emulator.rds.model import FILE, Instance, Status
from emulator.rds.parameter_state import rebooted
from emulator.rds.server import Server, ServerError
from node.server_user import ServerUser

_RETRIES_SECONDS = (0.0, 1.0, 3.0, 10.0, 30.0)

_log = logging.getLogger("emulator.rds")


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What all instances run on.

    Attributes:
        aws: Issues credentials, has policies and logs.
        authority: Signs certificates.
        loop: Runs the endpoints.
        login_log: Writes about refused logins.
        binaries: Folder of programs per release.
        user: Who runs the servers.
        authentication_seconds: How long a login may take.
    """

    aws: AwsEndpoint
    authority: Authority
    loop: EventLoop
    login_log: LoginLog
    binaries: dict[int, Path]
    user: ServerUser
    authentication_seconds: float


class RunningInstance:
    """One instance. Methods may be called from several threads; one change is made at a time.

    Args:
        folder: The instance's own.
        instance: What was declared, or kept in the folder.
    """

    def __init__(self, folder: Path, instance: Instance, platform: Platform) -> None:
        self.folder = folder
        self.instance = instance
        self._platform = platform
        self._server = self._server_in(folder)
        self._endpoint: Endpoint | None = None
        self._lock = threading.RLock()
        self._parting = threading.Event()
        self._watched: psutil.Process | None = None

    def create(self, instance: Instance, password: str) -> None:
        """Makes data directory and roles and opens the port, or finishes what a kill interrupted.

        Raises:
            ServerError: PostgreSQL refuses.
            OSError: The port is taken.
        """
        with self._lock:
            self._keep(instance.changed(prepared=self.instance.prepared))
            if not self.instance.prepared:
                self._server.initialise()
                self._server.configure(self.instance, self._platform.authentication_seconds)
                self._server.start()
                self._server.prepare(self.instance)
                self._keep(self.instance.changed(prepared=True))
            self._bring_up()
            self._server.set_password(instance.master, password)

    def start(self) -> None:
        """Brings server and port back, and tries again for a while: backends may outlive a killed server."""
        for seconds in _RETRIES_SECONDS:
            if self._parting.wait(seconds):
                return
            with self._lock:
                up = self._endpoint is not None and self._server.process is not None
                if up or not self.instance.prepared or self._parting.is_set():
                    return
                if self.instance.status == "incompatible-parameters":
                    return
                try:
                    self._bring_up()
                except (ServerError, OSError) as error:
                    _log.warning("%s does not start: %s", self.instance.identifier, error)
                else:
                    return

    def close(self) -> None:
        """Closes the port; the server goes on, for the next process to take over."""
        self._parting.set()
        with self._lock:
            self._close_endpoint()

    def halt(self) -> None:
        """Closes the port and stops the server.

        Raises:
            RuntimeError: The server does not end.
        """
        self._parting.set()
        with self._lock:
            self._close_endpoint()
            self._server.stop()

    def remove(self, snapshot: Path | None) -> None:
        """Stops and deletes it, or keeps its data as a snapshot.

        Raises:
            RuntimeError: The server does not end, or there is such a snapshot.
        """
        kept = snapshot if self._server.data.exists() else None
        if kept is not None and kept.exists():
            raise RuntimeError(
                "api error DBSnapshotAlreadyExists: Cannot create the snapshot because a snapshot with the "
                f"identifier {kept.name.removeprefix('rds-')} already exists."
            )
        self.announce("deleting")
        self.halt()
        with self._lock:
            if kept is not None:
                kept.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
                self._server.data.rename(kept)
            self._server.remove()
            shutil.rmtree(self.folder, ignore_errors=True)

    def change(self, instance: Instance, password: str | None = None) -> None:
        """Applies a change; sessions go on unless name or port change.

        Raises:
            ServerError: PostgreSQL refuses.
            OSError: The new port is taken.
        """
        with self._lock:
            old = self.instance
            if instance.port != old.port or instance.identifier != old.identifier:
                self._close_endpoint()
            if instance.identifier != old.identifier:
                self._rename(instance.identifier)
            if self._server.process is None:
                # It did not start with its old parameters: the new ones, which may mend it, apply at once.
                instance = instance.changed(parameters=rebooted(instance.parameters))
            self._keep(instance)
            self._bring_up_with_parameters()
            if password is not None:
                self._server.set_password(instance.master, password)

    def reboot(self) -> None:
        """Restarts the server with all parameters of the group.

        Raises:
            ServerError: It does not start with them.
        """
        with self._lock:
            parameters = rebooted(self.instance.parameters)
            self._keep(self.instance.changed(parameters=parameters, status="rebooting"))
            self._server.stop()
            self._bring_up_with_parameters()

    def renew(self) -> None:
        """Serves a new certificate if the current one is near its end."""
        with self._lock:
            if self._endpoint is not None:
                self._endpoint.rules = self._rules()

    def announce(self, status: Status) -> None:
        """Sets the status that the API shows."""
        self.instance = self.instance.changed(status=status)

    def _bring_up(self) -> None:
        self._server.configure(self.instance, self._platform.authentication_seconds)
        if self._server.process is None:
            self._server.start()
        else:
            self._server.reload()
        process = self._server.process
        if process is not None and process != self._watched:
            self._watched = process
            threading.Thread(target=self._watch, args=(process,), name="rds-watch", daemon=True).start()
        rules = self._rules()
        if self._endpoint is None:
            membership = Membership(self._server.connection, self.instance.major, self.instance.master)
            endpoint = Endpoint(membership, rules)
            self._platform.loop.run(endpoint.open())
            self._endpoint = endpoint
        self._keep(self.instance.changed(status="available"))
        self._endpoint.rules = replace(rules, instance=self.instance)
        lacking = [*unsupported(self.instance.parameters.applied), *self._server.lacking(self.instance)]
        if lacking:
            _log.info("%s: not available here: %s", self.instance.identifier, ", ".join(lacking))

    def _bring_up_with_parameters(self) -> None:
        try:
            self._bring_up()
        except ServerError:
            self._keep(self.instance.changed(status="incompatible-parameters"))
            raise

    def _rules(self) -> Rules:
        instance, platform = self.instance, self._platform
        chain, key = platform.authority.renew(instance.ca_identifier, self.folder)
        return Rules(
            instance=instance,
            context=tls_context(instance.parameters.applied, chain, key),
            login=IamLogin(endpoint=platform.aws, instance=instance),
            socket=self._server.socket,
            authentication_seconds=platform.authentication_seconds,
            note=lambda line: platform.login_log.refused(self.folder, self.instance, line),
        )

    def _watch(self, process: psutil.Process) -> None:
        """Starts the server again if it ends unexpectedly."""
        ended(process)
        self.start()

    def _close_endpoint(self) -> None:
        if self._endpoint is not None:
            self._platform.loop.run(self._endpoint.close())
            self._endpoint = None

    def _rename(self, identifier: str) -> None:
        self._server.stop()
        folder = self.folder.with_name(identifier)
        self.folder.rename(folder)
        self.folder = folder
        self._server = self._server_in(folder)

    def _server_in(self, folder: Path) -> Server:
        binaries = self._platform.binaries[self.instance.major]
        return Server(folder, binaries, self._platform.user)

    def _keep(self, instance: Instance) -> None:
        self.instance = instance
        instance.save(self.folder / FILE)
