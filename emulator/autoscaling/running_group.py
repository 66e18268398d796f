"""One group while the sandbox runs: brings its instances to what is wanted, and replaces them in turn.

A new instance comes before an old one goes: it serves, the load balancer says so, then an old one takes
nothing new, ends what it has begun, and is terminated.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emulator.autoscaling.model import Group, Instance, Subnet
from emulator.autoscaling.running_instance import FILE, HOST, Platform, RunningInstance
from emulator.core.child_processes import make_enterable
from emulator.core.ports import new_port
from emulator.ec2.addresses import host_address
from emulator.ec2.metadata import new_path
from emulator.elb.model import Target, TargetGroup
from emulator.elb.service import LoadBalancers, UnknownResource

GROUP = "group.json"
INSTANCES = "instances"
_UNSTEADY_SECONDS = 0.1
_STEADY_SECONDS = 1.0
_DRAINING_SECONDS = 300.0


class RunningGroup:
    """A group. Methods may be called from several threads.

    Args:
        changed: Called after an instance has come or gone.
    """

    def __init__(
        self,
        folder: Path,
        group: Group,
        platform: Platform,
        load_balancers: LoadBalancers,
        changed: Callable[[], None],
    ) -> None:
        self.group = group
        self._folder = folder
        self._platform = platform
        self._load_balancers = load_balancers
        self._changed = changed
        self._instances: dict[str, RunningInstance] = {}
        self._registered: set[tuple[str, str]] = set()
        self._draining_since: dict[str, float] = {}
        self._steadied = threading.Condition()
        self._wakened = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"group-{group.name}", daemon=True)

    def start(self) -> None:
        """Takes over the instances that there are, and begins."""
        make_enterable(self._folder)
        make_enterable(self._folder / INSTANCES)
        self.group.save(self._folder / GROUP)
        for record in sorted((self._folder / INSTANCES).glob(f"*/{FILE}")):
            instance = Instance.load(record)
            running = self._running(instance)
            if instance.lifecycle == "in service" and running.process is None:
                instance = instance.changed(lifecycle="pending")
                running = self._running(instance)
            self._adopt(running)
            if instance.lifecycle == "in service":
                self._register(running)
        self._thread.start()

    def change(self, group: Group) -> None:
        """It is to be another one from now on; returns before it is."""
        with self._steadied:
            self.group = group
            group.save(self._folder / GROUP)
        self._wakened.set()

    def close(self) -> None:
        """Ends the watch; gateways go on, for a successor to take over."""
        self._end()
        for instance in self._instances.values():
            instance.close()

    def halt(self) -> None:
        """Ends the gateways too; `start` of another object brings them back."""
        self._end()
        self._each(RunningInstance.halt)

    def remove(self) -> None:
        """Terminates all instances: these take nothing new first, and end what they have begun."""
        self._end()
        for instance in self._instances.values():
            self._deregister(instance)
        self._each(RunningInstance.terminate)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def instances(self) -> Sequence[RunningInstance]:
        """All that there are."""
        with self._steadied:
            return list(self._instances.values())

    def steady_within(self, seconds: float) -> bool:
        """Waits until as many instances as are desired serve and no other ones are left."""
        with self._steadied:
            return self._steadied.wait_for(self._is_steady, seconds)

    def last_lines(self, count: int) -> str:
        """The end of the youngest instance's log, for an error that has to say why none serves."""
        logs = sorted(
            (instance.log for instance in self.instances if instance.log.exists()),
            key=lambda log: log.stat().st_mtime,
        )
        return "\n".join(logs[-1].read_text(errors="replace").splitlines()[-count:]) if logs else ""

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wakened.clear()
            self._step()
            with self._steadied:
                steady = self._is_steady()
                self._steadied.notify_all()
            self._wakened.wait(_STEADY_SECONDS if steady else _UNSTEADY_SECONDS)

    def _is_steady(self) -> bool:
        found = list(self._instances.values())
        return (
            len(found) == self.group.desired
            and all(instance.instance.lifecycle == "in service" for instance in found)
            and all(self._is_current(instance) for instance in found)
        )

    def _step(self) -> None:
        self._leave_target_groups()
        for instance in self.instances:
            if instance.instance.lifecycle == "pending" and instance.serves(self.group.health_path):
                self._register(instance)
                if self._is_healthy(instance):
                    instance.enter("in service")
            elif instance.instance.lifecycle == "in service":
                self._register(instance)
            elif instance.instance.lifecycle == "terminating" and not self._is_draining(instance):
                self._terminate(instance)
        staying = [item for item in self.instances if item.instance.lifecycle != "terminating"]
        current = [item for item in staying if self._is_current(item)]
        old = [item for item in staying if not self._is_current(item)]
        serving = [item for item in current if item.instance.lifecycle == "in service"]
        # One at a time where old ones serve meanwhile, all at once where there are none.
        if len(current) < self.group.desired and (not old or len(serving) == len(current)):
            self._launch()
        elif old and self._may_go(old, serving):
            self._drain(self._least(old))
        elif not old and len(current) > self.group.desired:
            self._drain(self._least(current))

    def _may_go(self, old: Sequence[RunningInstance], serving: Sequence[RunningInstance]) -> bool:
        """Whether an old instance can be spared."""
        idle = any(item.instance.lifecycle == "pending" for item in old)
        return idle or len(serving) + len(old) > self.group.desired

    def _least(self, instances: Sequence[RunningInstance]) -> RunningInstance:
        """The one whose end costs least: one that does not serve, then one in the fullest zone."""
        zones = [item.instance.subnet.availability_zone for item in instances]
        return min(
            instances,
            key=lambda item: (
                item.instance.lifecycle == "in service",
                -zones.count(item.instance.subnet.availability_zone),
                item.instance.instance_id,
            ),
        )

    def _is_current(self, instance: RunningInstance) -> bool:
        return not self.group.refreshes or instance.instance.template == self.group.template

    def _launch(self) -> None:
        subnet = self._emptiest_subnet()
        taken = {port for item in self.instances for port in (item.instance.port, item.instance.metrics_port)}
        port = new_port(taken)
        instance = Instance(
            instance_id=f"i-0{secrets.token_hex(8)}",
            region=self.group.region,
            template=self.group.template,
            subnet=subnet,
            private_ip=host_address(
                subnet.cidr_block, 0, [item.instance.private_ip for item in self.instances]
            ),
            port=port,
            metrics_port=new_port(taken | {port}),
            metadata_path=new_path(),
        )
        self._adopt(self._running(instance))

    def _emptiest_subnet(self) -> Subnet:
        used = [item.instance.subnet.subnet_id for item in self.instances]
        return min(self.group.subnets, key=lambda subnet: used.count(subnet.subnet_id))

    def _running(self, instance: Instance) -> RunningInstance:
        folder = self._folder / INSTANCES / instance.instance_id
        return RunningInstance(folder, instance, self._platform)

    def _adopt(self, running: RunningInstance) -> None:
        with self._steadied:
            self._instances[running.instance.instance_id] = running
        running.start()

    def _register(self, instance: RunningInstance) -> None:
        for arn in self.group.target_group_arns:
            if (arn, instance.instance.instance_id) not in self._registered:
                self._registered.add((arn, instance.instance.instance_id))
                self._load_balancers.register(arn, self._target(instance))

    def _deregister(self, instance: RunningInstance) -> None:
        for arn, identity in list(self._registered):
            if identity == instance.instance.instance_id:
                self._registered.discard((arn, identity))
                self._load_balancers.deregister(arn, self._target(instance))

    def _leave_target_groups(self) -> None:
        """Leaves those that the group registers in no more."""
        for arn, identity in list(self._registered):
            if arn not in self.group.target_group_arns:
                self._registered.discard((arn, identity))
                self._load_balancers.deregister(arn, self._target(self._instances[identity]))

    def _is_healthy(self, instance: RunningInstance) -> bool:
        """Whether every listener that serves the group takes it for healthy."""
        return all(
            not self._load_balancers.serves(arn)
            or self._load_balancers.health(arn, self._target(instance)) == "healthy"
            for arn in self.group.target_group_arns
        )

    def _drain(self, instance: RunningInstance) -> None:
        instance.enter("terminating")
        self._draining_since[instance.instance.instance_id] = time.monotonic()
        self._deregister(instance)

    def _is_draining(self, instance: RunningInstance) -> bool:
        began = self._draining_since.setdefault(instance.instance.instance_id, time.monotonic())
        for arn in self.group.target_group_arns:
            try:
                delay = self._load_balancers.get(TargetGroup, arn).deregistration_delay
            except UnknownResource:
                delay = _DRAINING_SECONDS
            if (
                time.monotonic() - began < delay
                and self._load_balancers.health(arn, self._target(instance)) == "draining"
            ):
                return True
        return False

    def _terminate(self, instance: RunningInstance) -> None:
        instance.terminate()
        with self._steadied:
            self._instances.pop(instance.instance.instance_id, None)
        self._draining_since.pop(instance.instance.instance_id, None)
        self._changed()

    def _end(self) -> None:
        self._stopping.set()
        self._wakened.set()
        if self._thread.is_alive():
            self._thread.join()

    def _each(self, act: Callable[[RunningInstance], None]) -> None:
        with ThreadPoolExecutor(max_workers=max(len(self._instances), 1)) as threads:
            list(threads.map(act, self._instances.values()))
        self._instances.clear()

    def _target(self, instance: RunningInstance) -> Target:
        return Target(host=HOST, port=instance.instance.port)
