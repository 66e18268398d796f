"""All auto scaling groups of a sandbox.

Layout below the state folder:
    auto-scaling/groups/<name>/group.json          what was declared
    auto-scaling/groups/<name>/instances/<id>/     see `running_instance`
    auto-scaling/artifacts/<SHA-256>/              what instances run, unpacked
    auto-scaling/templates/<id>/<version>.json     versions of launch templates
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from emulator.autoscaling.artifacts import Artifacts
from emulator.autoscaling.model import Group, LaunchTemplate
from emulator.autoscaling.running_group import GROUP, RunningGroup
from emulator.autoscaling.running_instance import Platform
from emulator.core.child_processes import make_enterable
from emulator.core.state_layout import AUTO_SCALING
from emulator.elb.service import LoadBalancers
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.postgresql_server.server_user import ServerUser


class UnknownGroup(Exception):
    """There is no group of that name."""


class UnknownVersion(Exception):
    """There is no such version of a launch template."""


class Groups:
    """Keeps groups and launch templates, and runs the groups' instances.

    Args:
        endpoint: Its AWS; must be running.
    """

    def __init__(
        self, state_dir: Path, endpoint: AwsEndpoint, load_balancers: LoadBalancers, user: ServerUser
    ) -> None:
        self._folder = state_dir / AUTO_SCALING
        self._load_balancers = load_balancers
        self._artifacts = Artifacts(self._folder / "artifacts", endpoint.url)
        self._platform = Platform(
            endpoint_url=endpoint.url, metadata=endpoint.metadata, artifacts=self._artifacts, user=user
        )
        self._groups: dict[str, RunningGroup] = {}
        self._lock = threading.RLock()

    def start(self) -> None:
        """Brings every group back, with what still runs of its instances."""
        with self._lock:
            for record in sorted((self._folder / "groups").glob(f"*/{GROUP}")):
                self._begin(Group.load(record))

    def stop(self) -> None:
        """Ends the watch; gateways go on, for a successor to take over."""
        self._end(RunningGroup.close)

    def stop_all(self) -> None:
        """Ends the gateways too; `start` brings them back."""
        self._end(RunningGroup.halt)

    def put(self, group: Group) -> None:
        """Makes a group or changes it; returns before its instances serve."""
        with self._lock:
            running = self._groups.get(group.name)
            if running is None:
                self._begin(group)
            else:
                running.change(group)

    def delete(self, name: str) -> None:
        """Terminates a group's instances and removes it; what is gone already is no error."""
        with self._lock:
            running = self._groups.pop(name, None)
        if running is not None:
            running.remove()
            self._forget_artifacts()

    def named(self, name: str) -> RunningGroup:
        """A group.

        Raises:
            UnknownGroup: There is none.
        """
        with self._lock:
            try:
                return self._groups[name]
            except KeyError:
                raise UnknownGroup(name) from None

    @property
    def all(self) -> Sequence[RunningGroup]:
        """All that there are."""
        with self._lock:
            return list(self._groups.values())

    def put_template(self, template: LaunchTemplate) -> None:
        """Keeps a version of a launch template."""
        path = self._template(template.template_id, template.version)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        template.save(path)

    def template(self, template_id: str, version: int) -> LaunchTemplate:
        """A version of a launch template.

        Raises:
            UnknownVersion: There is none.
        """
        try:
            return LaunchTemplate.load(self._template(template_id, version))
        except FileNotFoundError:
            raise UnknownVersion(f"{template_id}, version {version}") from None

    def delete_template(self, template_id: str) -> None:
        """Removes all versions of a launch template; instances that were launched from it go on."""
        shutil.rmtree(self._template(template_id, 1).parent, ignore_errors=True)

    def _begin(self, group: Group) -> None:
        make_enterable(self._folder)
        make_enterable(self._folder / "groups")
        running = RunningGroup(
            self._folder / "groups" / group.name,
            group,
            self._platform,
            self._load_balancers,
            self._forget_artifacts,
        )
        self._groups[group.name] = running
        running.start()

    def _end(self, end: Callable[[RunningGroup], None]) -> None:
        with self._lock:
            running = list(self._groups.values())
            self._groups.clear()
        for group in running:
            end(group)

    def _forget_artifacts(self) -> None:
        used = {instance.artifact for group in self.all for instance in group.instances}
        self._artifacts.keep_only({artifact for artifact in used if artifact is not None})

    def _template(self, template_id: str, version: int) -> Path:
        return self._folder / "templates" / template_id / f"{version}.json"
