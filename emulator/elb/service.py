"""All load balancers of a sandbox: the declared resources, and the listeners that run for them.

Layout below the state folder:
    load-balancing/<kind>/<id>.json                     the models; mode 0600
    load-balancing/logs/<load balancer>/connection.log  a line per connection
    load-balancing/logs/<load balancer>/access.log      a line per request
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from emulator.acm.service import Certificates, NotIssued
from emulator.core.state_layout import LOAD_BALANCING
from emulator.elb.data_plane.log_file import LogFile
from emulator.elb.data_plane.server import ListenerServer
from emulator.elb.model import (
    ElbResource,
    Listener,
    ListenerConfiguration,
    LoadBalancer,
    Target,
    TargetGroup,
    TrustStore,
)

_RENEWAL_SECONDS = 3600.0
_FOLDERS: Mapping[type[ElbResource], str] = {
    LoadBalancer: "load-balancers",
    Listener: "listeners",
    TargetGroup: "target-groups",
    TrustStore: "trust-stores",
}

_log = logging.getLogger("emulator.elb")
_Kind = TypeVar("_Kind", bound=ElbResource)


class UnknownResource(Exception):
    """No resource of that ARN is declared."""


class LoadBalancers:
    """Keeps declared resources and runs listeners. Methods may be called from several threads.

    Args:
        certificates: Has the listeners' certificates.
    """

    def __init__(self, state_dir: Path, certificates: Certificates) -> None:
        self._folder = state_dir / LOAD_BALANCING
        self._certificates = certificates
        self._targets: dict[str, set[Target]] = {}
        self._running: dict[str, ListenerServer] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Brings back every listener that was declared; one that does not start is logged."""
        with self._lock:
            self._refresh_quietly()
        threading.Thread(target=self._renew, name="load-balancing-renewal", daemon=True).start()

    def stop(self) -> None:
        """Ends all listeners; `start` brings them back, without targets until these register again."""
        self._stopping.set()
        with self._lock:
            running = list(self._running.values())
            self._running.clear()
        for server in running:
            server.stop()

    def put(self, resource: ElbResource) -> None:
        """Declares or changes a resource, and updates running listeners.

        Raises:
            OSError: A listener's port is taken; the listener is not declared.
            ValueError: The data plane refuses it; a listener that is new is not declared.
            UnknownResource: A listener names what is not there.
            NotIssued: It names a certificate that was never issued.
        """
        with self._lock:
            earlier = self._find(type(resource), resource.arn)
            self._write(resource)
            try:
                self._refresh()
            except (OSError, ValueError, UnknownResource, NotIssued):
                if earlier is None:
                    self.remove(type(resource), resource.arn)
                else:
                    self._write(earlier)
                self._refresh_quietly()
                raise

    def remove(self, kind: type[ElbResource], arn: str) -> None:
        """Removes a declaration, a load balancer with its listeners; what is gone already is no error."""
        with self._lock:
            if kind is LoadBalancer:
                for listener in self._all(Listener):
                    if listener.load_balancer_arn == arn:
                        self.remove(Listener, listener.arn)
                shutil.rmtree(self._logs(arn), ignore_errors=True)
            if kind is Listener:
                self._take_down(arn)
            if kind is TargetGroup:
                self._targets.pop(arn, None)
            self._path(kind, arn).unlink(missing_ok=True)

    def get(self, kind: type[_Kind], arn: str) -> _Kind:
        """A declared resource.

        Raises:
            UnknownResource: There is none of that ARN.
        """
        found = self._find(kind, arn)
        if found is None:
            raise UnknownResource(arn)
        return found

    def change_bundle(self, trust_store_arn: str, bundle: str) -> None:
        """Makes a trust store, or gives it other authorities; its revocation lists stay.

        Raises:
            ValueError: A listener does not take the bundle; it keeps the old one.
        """
        with self._lock:
            found = self._find(TrustStore, trust_store_arn)
            self.put(
                found.changed(bundle=bundle) if found else TrustStore(arn=trust_store_arn, bundle=bundle)
            )

    def reserve_revocation_id(self, trust_store_arn: str) -> int:
        """An id for a revocation list of a trust store, which no other one has or had.

        Raises:
            UnknownResource: There is no such trust store.
        """
        with self._lock:
            found = self.get(TrustStore, trust_store_arn)
            self._write(found.changed(next_revocation_id=found.next_revocation_id + 1))
        return found.next_revocation_id

    def put_revocations(self, trust_store_arn: str, number: int, pem: str) -> None:
        """Adds a revocation list to a trust store under a reserved id.

        Raises:
            UnknownResource: There is no such trust store.
            ValueError: A listener does not take the list.
        """
        with self._lock:
            found = self.get(TrustStore, trust_store_arn)
            self.put(found.changed(revocations={**found.revocations, number: pem}))

    def remove_revocations(self, trust_store_arn: str, number: int) -> None:
        """Takes a revocation list away; what is gone already is no error."""
        with self._lock:
            found = self._find(TrustStore, trust_store_arn)
            if found is not None and number in found.revocations:
                rest = {key: pem for key, pem in found.revocations.items() if key != number}
                self.put(found.changed(revocations=rest))

    def register(self, target_group_arn: str, target: Target) -> None:
        """Adds a target: it is checked from now on, and served when it is healthy."""
        with self._lock:
            self._targets.setdefault(target_group_arn, set()).add(target)
            self._refresh_quietly()

    def deregister(self, target_group_arn: str, target: Target) -> None:
        """Takes a target away: it gets nothing new, and ends what it has begun."""
        with self._lock:
            self._targets.get(target_group_arn, set()).discard(target)
            self._refresh_quietly()

    def health(self, target_group_arn: str, target: Target) -> str | None:
        """The worst health that a listener sees of a target; None where no listener knows it."""
        with self._lock:
            servers = self._serving(target_group_arn)
        found = [health for each in servers if (health := each.target_health().get(target)) is not None]
        order = ("unhealthy", "initial", "draining", "healthy")
        return min(found, key=order.index) if found else None

    def serves(self, target_group_arn: str) -> bool:
        """Whether a listener runs for a target group."""
        with self._lock:
            return bool(self._serving(target_group_arn))

    def _serving(self, target_group_arn: str) -> list[ListenerServer]:
        return [
            server
            for server in self._running.values()
            if server.configuration.target_group.arn == target_group_arn
        ]

    def _refresh(self) -> None:
        for listener in self._all(Listener):
            self._bring_up(listener)

    def _refresh_quietly(self) -> None:
        for listener in self._all(Listener):
            try:
                self._bring_up(listener)
            except (OSError, ValueError, UnknownResource, NotIssued) as error:
                _log.error("listener on port %d is not brought up to date: %s", listener.port, error)

    def _bring_up(self, listener: Listener) -> None:
        wanted = self._configuration(listener)
        server = self._running.get(listener.arn)
        if server is not None and server.port != listener.port:
            self._take_down(listener.arn)
            server = None
        if server is None:
            logs = self._logs(listener.load_balancer_arn)
            server = ListenerServer(
                wanted, LogFile(logs / "connection.log").write, LogFile(logs / "access.log").write
            )
            server.start()
            self._running[listener.arn] = server
        elif server.configuration != wanted:
            server.update(wanted)

    def _configuration(self, listener: Listener) -> ListenerConfiguration:
        trust_store = listener.mutual_authentication.trust_store_arn
        return ListenerConfiguration(
            listener=listener,
            load_balancer=self.get(LoadBalancer, listener.load_balancer_arn),
            target_group=self.get(TargetGroup, listener.target_group_arn),
            trust_store=self.get(TrustStore, trust_store) if trust_store else None,
            certificate=self._certificates.issued(listener.certificate_arn),
            targets=frozenset(self._targets.get(listener.target_group_arn, ())),
        )

    def _take_down(self, arn: str) -> None:
        server = self._running.pop(arn, None)
        if server is not None:
            server.stop()

    def _renew(self) -> None:
        while not self._stopping.wait(_RENEWAL_SECONDS):
            with self._lock:
                self._refresh_quietly()

    def _all(self, kind: type[_Kind]) -> list[_Kind]:
        files = sorted((self._folder / _FOLDERS[kind]).glob("*.json"))
        return [kind.load(file) for file in files]

    def _find(self, kind: type[_Kind], arn: str) -> _Kind | None:
        try:
            return kind.load(self._path(kind, arn))
        except FileNotFoundError:
            return None

    def _write(self, resource: ElbResource) -> None:
        path = self._path(type(resource), resource.arn)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        resource.save(path)

    def _path(self, kind: type[ElbResource], arn: str) -> Path:
        return self._folder / _FOLDERS[kind] / f"{arn.rsplit('/', 1)[-1]}.json"

    def _logs(self, load_balancer_arn: str) -> Path:
        _, name, identity = load_balancer_arn.rsplit("/", 2)
        return self._folder / "logs" / f"{name}-{identity}"
