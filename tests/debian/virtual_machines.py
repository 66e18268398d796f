"""The sandbox with virtual machines: what `hook` puts into its resident process, and into nothing else.

Instances boot as virtual machines where the sandbox has folders, and AWS's endpoint takes what its clients
send to the host names of AWS over TLS, which no client of the sandbox does otherwise.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.autoscaling import group, running_group
from emulator.autoscaling.running_instance import RunningInstance
from emulator.ec2 import machines
from emulator.ec2.metadata import InstanceFacts
from emulator.endpoint import front_door, loopback_server, signature
from emulator.endpoint.exchange import HttpRequest, HttpResponse
from engine import processes
from engine.processes import Identity
from engine.project import CHECKOUT
from sandbox.stack_file import RDS_PORT, SELF_MANAGED_PORT
from tests.debian.instance import Instance
from tests.debian.machine import Machine

IMAGE_VARIABLE = "PASSWORDLESS_POSTGRES_DEBIAN_IMAGE"
FOLDER = "virtual"
PART = "virtual machine"
_PORTS = "ports.json"
_GATEWAY_PORT = 8443
_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_OF_STREAMS = {
    *(
        "x-amz-content-sha256",
        "x-amz-trailer",
        "x-amz-decoded-content-length",
        "x-amz-sdk-checksum-algorithm",
    ),
    *("content-encoding", "content-length", "transfer-encoding"),
}


def install() -> None:
    """Change the classes of this process."""
    machines.Machines = VirtualMachines
    running_group.RunningInstance = VirtualInstance
    # An instance boots and fetches packages first.
    group.LONGEST_WAIT_SECONDS = 900.0
    loopback_server._RequestHandler = _StreamedRequests
    front_door.FrontDoor.handle = _handle
    verify, refuse = front_door.verify, signature._refuse_another_payload
    front_door.verify = lambda request, *rest: verify(getattr(request, "sent", request), *rest)
    signature._refuse_another_payload = lambda request, scope: (
        None if request.header("X-Amz-Content-SHA256") == _TRAILER else refuse(request, scope)
    )


def start(folder: Path, state: Path, environment: Mapping[str, str] = os.environ) -> Identity:
    """The process of a folder's machine; it is one of the sandbox, which ends with it."""
    with (folder / "process.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.debian.machine", str(folder), environment[IMAGE_VARIABLE]],
            cwd=CHECKOUT,
            env=processes.marked_environment(state, PART, environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    identity = processes.identity_of(process.pid)
    if identity is None:
        raise OSError(f"the machine of {folder} has ended at once")
    return identity


class VirtualMachines(machines.Machines):
    """Database machines."""

    def __init__(self, state_dir: Path, *arguments: Any) -> None:
        super().__init__(state_dir, *arguments)
        self._state = state_dir

    def attach(self, volume_id: str, instance_id: str) -> None:
        super().attach(volume_id, instance_id)
        folder = self._state / FOLDER / instance_id
        instance = Instance.load(folder)
        if instance.volume != volume_id:
            disk = self._volumes / volume_id / "disk"
            Machine(folder).await_start()
            Machine(folder).attach(volume_id, disk)
            instance.model_copy(update={"volume": volume_id, "disk": disk}).save(folder)

    def _boot(self, record: Mapping[str, Any]) -> None:
        facts = InstanceFacts(**record["facts"])
        folder = self._state / FOLDER / facts.instance_id
        port = _port(self._state, SELF_MANAGED_PORT)
        Instance(
            facts=facts,
            metadata=self._metadata.register(facts),
            aws=self._endpoint_url,
            user_data=record["userData"],
            forwarded={port: port},
            volume=record["volume"],
            disk=None if record["volume"] is None else self._volumes / record["volume"] / "disk",
        ).save(folder)
        if not is_running(folder):
            start(folder, self._state)

    def _halt(self, instance_id: str) -> None:
        Machine(self._state / FOLDER / instance_id).shut_down()


class VirtualInstance(RunningInstance):
    """An instance of a group."""

    def _launch(self) -> Identity | None:
        self._folder.boot(base64.b64decode(self.instance.template.user_data))
        state = next(parent for parent in self._folder.path.parents if (parent / _PORTS).exists())
        folder = state / FOLDER / self.instance.instance_id
        Instance(
            facts=self._facts(),
            metadata=self._metadata,
            aws=self._platform.endpoint_url,
            user_data=self.instance.template.user_data,
            forwarded={self.instance.port: _GATEWAY_PORT},
            rds=_port(state, RDS_PORT),
        ).save(folder)
        identity = start(folder, state)
        self._change(process=identity)
        return identity


def _port(state: Path, name: str) -> int:
    """A port of the sandbox, 0 where it has none of that name."""
    return json.loads((state / _PORTS).read_text()).get(name, 0)


def is_running(folder: Path) -> bool:
    """Whether a folder has a machine's process."""
    marks = processes.find(folder.parents[1], PART)
    return any(str(folder) in Path(f"/proc/{each.pid}/cmdline").read_text() for each in marks)


def _rewritten(request: HttpRequest, **changes: Any) -> HttpRequest:
    """A request as the sandbox knows it; its attribute `sent` is the one that was signed."""
    made = dataclasses.replace(request, **changes)
    # No field: the journal writes those.
    object.__setattr__(made, "sent", getattr(request, "sent", request))
    return made


_plain_handle = front_door.FrontDoor.handle


def _handle(self: front_door.FrontDoor, request: HttpRequest) -> HttpResponse:
    return _plain_handle(self, _by_path(_whole(request)))


def _by_path(request: HttpRequest) -> HttpRequest:
    """With the bucket in the path, not in the host's name."""
    found = re.fullmatch(r"(.+)\.(s3\.[a-z0-9-]+\.amazonaws\.com)", request.header("Host") or "")
    if found is None:
        return request
    others = tuple((name, value) for name, value in request.headers if name.lower() != "host")
    headers = (("Host", found[2]), *others)
    return _rewritten(request, target=f"/{found[1]}{request.target}", headers=headers)


def _whole(request: HttpRequest) -> HttpRequest:
    """With its body in one piece: over TLS, clients send chunks with a checksum behind them."""
    if request.header("X-Amz-Content-SHA256") != _TRAILER:
        return request
    body, rest = b"", request.body
    while size := int(rest.partition(b"\r\n")[0].split(b";")[0], 16):
        rest = rest.partition(b"\r\n")[2]
        body, rest = body + rest[:size], rest[size + 2 :]
    kept = tuple((name, value) for name, value in request.headers if name.lower() not in _OF_STREAMS)
    return _rewritten(request, headers=(*kept, ("Content-Length", str(len(body)))), body=body)


class _StreamedRequests(loopback_server._RequestHandler):
    """Takes requests whose length nobody knows when they begin."""

    def make_environ(self) -> dict[str, Any]:
        environ = super().make_environ()
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return environ
